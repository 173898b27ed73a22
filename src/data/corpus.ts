/** Texts from files: lines, or the captions of datasets. */
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { extname } from "node:path";
import { createInterface } from "node:readline";
import { LingolensError } from "../errors.js";
import { hasWildcard } from "../image/glob.js";
import { captionsIn, readDataset } from "./dataset.js";

/**
 * All texts, as they are read: of a text file every line that is not empty, of a dataset (a folder, `.jsonl`, `.tsv`,
 * `.tar` or `.json`) the captions in the languages asked for.
 * @param languages mBART codes
 * @throws {LingolensError} `file-not-found`, `dataset-invalid`
 */
export async function* corpusTexts(
  paths: readonly string[],
  languages: readonly string[],
): AsyncGenerator<string, void, undefined> {
  for (const path of paths) yield* (await isDataset(path)) ? captionsOf(path, languages) : linesOf(path);
}

async function isDataset(path: string): Promise<boolean> {
  const found = await stat(path).catch((cause: Error) => {
    if (hasWildcard(path)) return undefined;
    throw new LingolensError("file-not-found", `${path} cannot be read: ${cause.message}.`, { cause });
  });
  return !found?.isFile() || [".jsonl", ".tsv", ".tar", ".json"].includes(extname(path));
}

async function* linesOf(path: string): AsyncGenerator<string, void, undefined> {
  const input = createReadStream(path);
  for await (const line of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY }))
    if (line.trim() !== "") yield line;
}

async function* captionsOf(
  path: string,
  languages: readonly string[],
): AsyncGenerator<string, void, undefined> {
  for await (const entry of readDataset(path))
    for (const language of languages) yield* captionsIn(entry, language);
}
