import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { dirname, isAbsolute, join } from "node:path";
import { Command } from "commander";
import { z } from "zod";
import { LingolensError } from "../errors.js";
import { isUrl } from "../image/picture-source.js";
import {
  checkDevice,
  decoderStartOption,
  deviceOption,
  dtypeOption,
  interruptSignal,
  modelOption,
  offlineOption,
  openCaptioner,
  threadsOption,
} from "./arguments.js";

const EXAMPLES = `
Examples:
  echo '{"image":"photo.jpg","lang":"en","caption":"a red circle"}' > captions.jsonl
  lingolens score --data captions.jsonl
  lingolens score --model DIR --data captions.jsonl --json

Each line of the file is {"image":…,"lang":…,"caption":…}; a picture's path counts from the file's folder. The
result adds "tokens" ([lang] caption </s>) and "nll", their mean negative log-likelihood: lower is likelier.`;

interface Flags {
  readonly model?: string;
  readonly offline?: boolean;
  readonly data: string;
  readonly decoderStart?: number;
  readonly threads?: number;
  readonly device: string;
  readonly dtype?: "fp32" | "int8";
  readonly ignoreExif?: boolean;
  readonly allowPrivate?: boolean;
  readonly json?: boolean;
}

const lineSchema = z.looseObject({ image: z.string(), lang: z.string(), caption: z.string() });

export function scoreCommand(): Command {
  return new Command("score")
    .description("how well a model expects given captions")
    .addOption(modelOption())
    .addOption(offlineOption())
    .requiredOption("--data <file>", "JSON lines with image, lang and caption")
    .option("--ignore-exif", "take pictures as they are stored, not upright")
    .option("--allow-private", "fetch from private addresses too, such as localhost")
    .addOption(decoderStartOption())
    .addOption(threadsOption())
    .addOption(deviceOption())
    .addOption(dtypeOption())
    .option("--json", "JSON lines instead of a table")
    .addHelpText("after", EXAMPLES)
    .action(score);
}

async function score({
  model,
  offline,
  data,
  json,
  threads,
  decoderStart,
  device,
  dtype,
  ...reading
}: Flags): Promise<void> {
  checkDevice(device);
  const lines = await readLines(data);
  const signal = interruptSignal();
  const captioner = await openCaptioner({ model, offline, threads, decoderStart, dtype }, signal);
  try {
    for (const line of lines) {
      const { image, lang, caption } = line;
      try {
        const [scored] = await captioner.score(resolveImage(image, data), [{ lang, caption }], {
          ...reading,
          signal,
        });
        const { tokens, nll } = scored!;
        process.stdout.write(
          json
            ? `${JSON.stringify({ ...line, tokens, nll })}\n`
            : `${nll.toFixed(4)}  ${image}  ${lang}  ${caption}\n`,
        );
      } catch (error) {
        if (!(error instanceof LingolensError) || error.code === "cancelled") throw error;
        const { code, message } = error;
        if (json) process.stdout.write(`${JSON.stringify({ ...line, error: { code, message } })}\n`);
        process.stderr.write(`lingolens: ${image}: ${message} (${code})\n`);
        process.exitCode = 1;
      }
    }
  } finally {
    await captioner.close();
  }
}

async function readLines(path: string): Promise<z.infer<typeof lineSchema>[]> {
  const text = await readFile(path, "utf8").catch((cause) => {
    throw new LingolensError("file-not-found", `${path} cannot be read: ${cause.message}.`, { cause });
  });
  return text.split("\n").flatMap((line, i) => {
    if (line.trim() === "") return [];
    try {
      return [lineSchema.parse(JSON.parse(line))];
    } catch {
      throw new LingolensError(
        "dataset-invalid",
        `${path}, line ${i + 1}: expected {"image":…,"lang":…,"caption":…}; got ${line.slice(0, 80)}.`,
      );
    }
  });
}

/** Relative to the file's folder; where there is no such picture, to the current one. */
function resolveImage(image: string, data: string): string {
  if (isUrl(image) || isAbsolute(image)) return image;
  const beside = join(dirname(data), image);
  return existsSync(beside) ? beside : image;
}
