import { existsSync } from "node:fs";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { LingolensError, throwIfCancelled } from "../errors.js";
import { connectToHub, hubToken, type Refusal } from "../weights/hub/http.js";
import { parseReference } from "../weights/hub/reference.js";
import { listFolder, type ModelFolder, TOKENIZER_FILES } from "../weights/model-folder.js";
import { findTrainingRecord, modelCard } from "./model-card.js";
import type { ExportOptions } from "./parameters.js";

export interface PublishOptions extends Pick<ExportOptions, "signal" | "onProgress"> {
  /** Only for those whom its owner lets read it, if the repository is new. Default: false. */
  readonly private?: boolean;
}

const CARD = "README.md";
const REPORT = "report.html";
const SETTINGS = ["config.json", "generation_config.json", "preprocessor_config.json"];

/**
 * Uploads a model folder to the Hugging Face hub, in one commit, with a model card: the folder's own README.md, or one
 * made of what the run folder says of the training. The repository is made where it is missing. Follows HF_TOKEN and
 * HF_ENDPOINT.
 * @returns the address of the model's page
 * @throws {LingolensError} `option-unsupported` for a name that is none or without a token, `unsupported-format`,
 * `upload-failed`, `cancelled`
 */
export async function publishModel(
  folder: ModelFolder,
  name: string,
  { private: hidden = false, signal, onProgress }: PublishOptions = {},
): Promise<string> {
  const reference = parseReference(name);
  if (!reference || reference.name !== name)
    throw unsupported(`"${name}": expected the name of a model on the hub, owner/name.`);
  const accessToken = hubToken();
  if (!accessToken)
    throw unsupported("Publishing needs HF_TOKEN: set it to a token of your account that may write.");
  const connection = connectToHub(reference, signal, writingRefused);
  const { createRepo, uploadFiles } = await import("@huggingface/hub");
  const shared = { repo: name, accessToken, hubUrl: connection.endpoint };

  const files = await filesOf(folder, name);
  const total = files.reduce((sum, { size }) => sum + size, 0);
  let done = 0;
  /** Counts what was sent: a file is a request, or several if it is large. */
  const counting: typeof fetch = async (url, init) => {
    const answer = await connection.fetch(url, init);
    if (init?.method === "PUT" && init.body instanceof Blob) {
      done += init.body.size;
      onProgress?.({ done, total });
    }
    return answer;
  };
  try {
    await createRepo({ ...shared, visibility: hidden ? "private" : "public", fetch: connection.fetch }).catch(
      (error) => {
        if (!(error instanceof LingolensError && error.code === "already-exists")) throw error;
      },
    );
    await uploadFiles({
      ...shared,
      files,
      commitTitle: "Upload model with lingolens",
      fetch: counting,
      ...(signal && { abortSignal: signal }),
    });
  } catch (cause) {
    throwIfCancelled(signal);
    if (cause instanceof LingolensError) throw cause;
    throw new LingolensError(
      "upload-failed",
      `${name} could not be uploaded: ${(cause as Error).message} Run the same again: what arrived is not sent twice.`,
      { cause },
    );
  }
  onProgress?.({ done: total, total });
  return `${connection.endpoint}/${name}`;
}

interface UploadedFile {
  readonly path: string;
  readonly content: URL | Blob;
  readonly size: number;
}

async function filesOf(folder: ModelFolder, name: string): Promise<UploadedFile[]> {
  const names = await listFolder(folder.path);
  const weights = names.filter((file) => /^model.*\.safetensors(\.index\.json)?$/.test(file));
  if (!weights.some((file) => file.endsWith(".safetensors")))
    throw new LingolensError(
      "unsupported-format",
      `${folder.path}: expected weights as safetensors. Write them so with --to huggingface, and publish that folder.`,
    );
  const own = [...weights, ...SETTINGS, ...TOKENIZER_FILES, CARD].filter((file) => names.includes(file));
  const files = own.map((file) => [file, join(folder.path, file)] as const);

  const record = await findTrainingRecord(folder.path);
  const report = record && join(record.path, REPORT);
  if (report && existsSync(report)) files.push([REPORT, report]);
  const uploaded = await Promise.all(
    files.map(async ([path, file]) => ({
      path,
      content: pathToFileURL(file),
      size: (await stat(file)).size,
    })),
  );
  if (own.includes(CARD)) return uploaded;
  const card = new Blob([await modelCard(folder, name, record)]);
  return [...uploaded, { path: CARD, content: card, size: card.size }];
}

const writingRefused: Refusal = ({ name }, url, { status }) => {
  if (status === 409) return new LingolensError("already-exists", `${name} exists on ${url.host}.`);
  const advice =
    status === 401 || status === 403 || status === 404
      ? `Check that HF_TOKEN is a token that may write, and that its account is ${name.split("/")[0]} or belongs to it.`
      : status === 429
        ? "That is too many requests: wait some minutes."
        : "Try again later: what arrived is not sent twice.";
  return new LingolensError(
    "upload-failed",
    `${url.origin}${url.pathname} answered with status ${status}. ${advice}`,
  );
};

function unsupported(message: string): LingolensError {
  return new LingolensError("option-unsupported", message);
}
