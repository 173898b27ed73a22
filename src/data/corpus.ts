/** Texts from files: lines, or the captions of datasets. */
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { extname } from "node:path";
import { createInterface } from "node:readline";
import { captionsIn, readDataset } from "./dataset.js";

/** Endings of files that are datasets; all others hold a text a line. */
const DATASETS = [".jsonl", ".tar", ".tsv", ".json"];

/**
 * All texts, as they are read: of a text file every line that is not empty, of a dataset in any of its formats the
 * captions in the languages asked for.
 * @param languages mBART codes
 * @throws {LingolensError} `file-not-found`, `dataset-invalid`
 */
export async function* corpusTexts(
  paths: readonly string[],
  languages: readonly string[],
): AsyncGenerator<string, void, undefined> {
  for (const path of paths) {
    const isFile = await stat(path).then(
      (found) => found.isFile(),
      () => false,
    );
    if (isFile && !DATASETS.includes(extname(path))) yield* linesOf(path);
    else
      for await (const entry of readDataset(path))
        for (const language of languages) yield* captionsIn(entry, language);
  }
}

async function* linesOf(path: string): AsyncGenerator<string, void, undefined> {
  const input = createReadStream(path);
  for await (const line of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY }))
    if (line.trim() !== "") yield line;
}
