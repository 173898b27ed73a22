import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { Command } from "commander";
import type { Captioner } from "../captioner/captioner.js";
import type { CaptionDType } from "../captioner/load-captioner.js";
import type { Device } from "../engine/device/device-kind.js";
import { LingolensError, throwIfCancelled } from "../errors.js";
import { jsonLog } from "../server/log.js";
import { ModelFiles } from "../server/model-files.js";
import { DEFAULT_SETTINGS, type ServerSettings } from "../server/settings.js";
import { StaticFiles } from "../server/static-files.js";
import {
  collect,
  decoderStartOption,
  deviceOption,
  dtypeOption,
  integer,
  interruptSignal,
  list,
  modelFolder,
  modelOption,
  offlineOption,
  openCaptioner,
  threadsOption,
} from "./arguments.js";

const EXAMPLES = `
Examples:
  lingolens serve
  curl -F image=@photo.jpg -F lang=en,de http://localhost:8080/v1/captions
  lingolens serve --model original --dtype int8 --port 9000
  LINGOLENS_API_KEY=… lingolens serve --host 0.0.0.0 --trust-proxy --rate-limit 60

Only this machine can reach it unless --host says otherwise. The API is described at /docs and /openapi.json. The log
is a line of JSON per event on stderr. SIGTERM and SIGINT let accepted requests finish. See docs/serving.md.`;

interface Flags extends Partial<ServerSettings> {
  readonly host: string;
  readonly port: number;
  readonly model?: string;
  readonly offline?: boolean;
  readonly shareModel?: boolean;
  readonly gloss?: string;
  readonly threads?: number;
  readonly decoderStart?: number;
  readonly device: Device;
  readonly dtype?: CaptionDType;
  readonly apiKey?: string[];
  readonly apiKeyFile?: string;
}

export function serveCommand(): Command {
  const standard = DEFAULT_SETTINGS;
  const megabytes = (bytes: number): string => `${bytes / 2 ** 20} MiB`;
  return new Command("serve")
    .description("answers over HTTP: an API for captions, and the web page")
    .option("--host <address>", "address to listen on", "127.0.0.1")
    .option("--port <n>", "port to listen on; 0 for any that is free", integer(0), 8080)
    .addOption(modelOption())
    .addOption(offlineOption())
    .option(
      "--share-model",
      "let browsers load the model's files, to run it themselves (default: the bundled one)",
    )
    .option(
      "--gloss <models>",
      "translate captions into English with Marian models: a folder with opus-mt-de-en and the like, or " +
        "Helsinki-NLP/opus-mt-{from}-{to} of the Hugging Face hub",
    )
    .option(
      "--api-key <key>",
      "a key that clients must show; may be repeated; lists of processes show it",
      collect,
    )
    .option("--api-key-file <file>", "a file of keys, one a line; also LINGOLENS_API_KEY in the environment")
    .option(
      "--cors <origins>",
      "origins whose pages may use the API, such as https://example.org; or *",
      list,
    )
    .option("--trust-proxy", "behind a proxy: take the client from X-Forwarded-For")
    .option("--allow-private", "fetch from private addresses too, such as localhost")
    .option("--max-batch <n>", `most pictures in a batch (default: ${standard.maxBatch})`, integer(1))
    .option(
      "--batch-wait <ms>",
      `begin a batch when no picture came for so long (default: ${standard.batchWait})`,
      integer(0),
    )
    .option("--concurrency <n>", `batches worked on at once (default: ${standard.concurrency})`, integer(1))
    .option(
      "--max-rows <n>",
      `most languages × beams of a batch, for captions of 64 tokens (default: ${standard.maxRows})`,
      integer(1),
    )
    .option(
      "--max-queue <n>",
      `most pictures that wait; then 429 (default: ${standard.maxQueue})`,
      integer(1),
    )
    .option("--max-images <n>", `most pictures of a request (default: ${standard.maxImages})`, integer(1))
    .option(
      "--max-body <bytes>",
      `most bytes of a request (default: ${megabytes(standard.maxBody)})`,
      integer(1),
    )
    .option(
      "--max-bodies <bytes>",
      `most bytes of all requests at once (default: ${megabytes(standard.maxBodies)})`,
      integer(1),
    )
    .option("--max-pixels <n>", `most pixels of a picture (default: ${standard.maxPixels})`, integer(1))
    .option("--rate-limit <n>", "requests a minute of a client; 0 for no limit (default: 0)", integer(0))
    .option("--body-timeout <s>", `seconds for a body to come (default: ${standard.bodyTimeout})`, integer(1))
    .option("--deadline <s>", `seconds for an answer (default: ${standard.deadline})`, integer(1))
    .option(
      "--shutdown-deadline <s>",
      `seconds for accepted requests when told to stop (default: ${standard.shutdownDeadline})`,
      integer(1),
    )
    .addOption(decoderStartOption())
    .addOption(threadsOption("all processors; of a small model, each of the batches at once has its share"))
    .addOption(deviceOption())
    .addOption(dtypeOption())
    .addHelpText("after", EXAMPLES)
    .action(serve);
}

async function serve(flags: Flags): Promise<void> {
  const {
    host,
    port,
    model,
    offline,
    shareModel,
    gloss,
    threads,
    decoderStart,
    device,
    dtype,
    apiKey,
    apiKeyFile,
    ...rest
  } = flags;
  const apiKeys = await readKeys(apiKey, apiKeyFile);
  const settings: ServerSettings = { ...DEFAULT_SETTINGS, ...rest, apiKeys };
  const signal = interruptSignal();
  const log = jsonLog();
  const { checkModels, Translations } = await import("../server/translations.js");
  if (gloss !== undefined) await checkModels(gloss);
  const callsAtOnce = settings.concurrency;
  const captioner = await openCaptioner(
    { model, offline, threads, callsAtOnce, decoderStart, device, dtype },
    signal,
  );
  // Translations are not computed in bf16.
  const glossing = { offline, threads, dtype: dtype === "bf16" ? undefined : dtype };
  const translations =
    gloss === undefined ? undefined : new Translations({ models: gloss, ...glossing }, log);
  try {
    await warmUp(captioner, signal);
    const files = await StaticFiles.of(fileURLToPath(new URL("../web/", import.meta.url)));
    const modelFiles =
      shareModel || model === undefined
        ? await ModelFiles.of(await modelFolder(model, { offline, signal }))
        : undefined;
    const parts = {
      captioner,
      model,
      settings,
      version: packageVersion(),
      log,
      files,
      modelFiles,
      translations,
    };
    const { startServer } = await import("../server/server.js"); // Other commands need not load it.
    const server = await startServer(parts, { host, port });
    log("listening", { url: server.url, model: model ?? "bundled", keys: apiKeys.length });
    process.stdout.write(`${server.url}\n`);
    void files?.prepare();
    if (!signal.aborted) await new Promise((resolve) => signal.addEventListener("abort", resolve));
    log("stopping");
    const answered = await server.close();
    log("stopped", { answered });
    if (!answered) process.exitCode = 1;
  } finally {
    await translations?.close();
    await captioner.close();
  }
}

/** Programs are compiled when first used; the first client need not wait for that. */
async function warmUp(captioner: Captioner, signal: AbortSignal): Promise<void> {
  const edge = captioner.config.vision.imageSize;
  const gray = { width: edge, height: edge, data: new Uint8Array(edge * edge * 3).fill(128) };
  await captioner.caption(gray, { lang: "all", maxLength: 4, signal });
  throwIfCancelled(signal);
}

async function readKeys(given: readonly string[] = [], file: string | undefined): Promise<string[]> {
  const lines = file === undefined ? [] : (await readKeyFile(file)).split("\n");
  const keys = [...given, ...lines, process.env.LINGOLENS_API_KEY ?? ""]
    .map((key) => key.trim())
    .filter(Boolean);
  if ((file !== undefined || given.length > 0) && keys.length === 0)
    throw new LingolensError("option-unsupported", "Expected an API key; got none. Is the file empty?");
  const bad = keys.findIndex((key) => !/^[\x21-\x7e]+$/.test(key));
  if (bad >= 0)
    throw new LingolensError(
      "option-unsupported",
      "An API key may hold letters, digits and signs of ASCII, and no spaces; one of those given does not.",
    );
  return keys;
}

async function readKeyFile(file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    const { message } = error as Error;
    throw new LingolensError("file-not-found", `${file} cannot be read: ${message}.`, { cause: error });
  }
}

function packageVersion(): string {
  return JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")).version;
}
