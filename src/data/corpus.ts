/** Texts from files: lines, or the captions of datasets. */
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { createInterface } from "node:readline";
import { LingolensError } from "../errors.js";
import { languages as allLanguages, resolveLanguage } from "../text/languages.js";
import { readDataset } from "./dataset.js";

/**
 * All texts, as they are read: of a text file every line that is not empty, of a dataset (its folder or its
 * `captions.jsonl`) the captions in the languages asked for.
 * @param languages mBART codes
 * @throws {LingolensError} `file-not-found`, `dataset-invalid`
 */
export async function* corpusTexts(
  paths: readonly string[],
  languages: readonly string[],
): AsyncGenerator<string, void, undefined> {
  for (const path of paths) {
    const folder = await datasetFolder(path);
    yield* folder === undefined ? linesOf(path) : captionsOf(folder, languages);
  }
}

async function datasetFolder(path: string): Promise<string | undefined> {
  if (basename(path) === "captions.jsonl") return dirname(path);
  const found = await stat(path).catch((cause: Error) => {
    throw new LingolensError("file-not-found", `${path} cannot be read: ${cause.message}.`, { cause });
  });
  return found.isDirectory() ? path : undefined;
}

async function* linesOf(path: string): AsyncGenerator<string, void, undefined> {
  const input = createReadStream(path);
  for await (const line of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY }))
    if (line.trim() !== "") yield line;
}

async function* captionsOf(
  folder: string,
  languages: readonly string[],
): AsyncGenerator<string, void, undefined> {
  for await (const { captions } of readDataset(folder)) {
    for (const [language, texts] of Object.entries(captions))
      if (languages.includes(resolveLanguage(language, allLanguages).code)) yield* texts;
  }
}
