/**
 * Multi30k (Elliott et al. 2016, arXiv 1605.00459): lists of pictures in `image_splits/SPLIT.txt`, and in `raw/`, or
 * beside that, a text file per language whose lines belong to them: `train.de`, `train.de.gz`, or with several
 * captions a picture `train.1.de`, `train.2.de`, ….
 */
import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import { LingolensError } from "../../errors.js";
import type { DatasetBlock, DatasetEntry } from "../dataset.js";
import { invalid } from "./invalid.js";
import { pathWithin } from "./picture-path.js";

/** Against a .gz that unpacks to fill the memory; Multi30k's largest file has 2 MB. */
const LARGEST_BYTES = 256 * 2 ** 20;

export interface Multi30kOptions {
  readonly images?: string | undefined;
  /** Name of a list without ".txt". Default: every list that has captions. */
  readonly split?: string | undefined;
}

/**
 * A block for each split.
 * @throws {LingolensError} `file-not-found`; `dataset-invalid` where files do not belong together, with file and line
 */
export async function* multi30kBlocks(
  folder: string,
  { images = join(folder, "images"), split }: Multi30kOptions,
): AsyncGenerator<DatasetBlock> {
  const lists = (await readdir(join(folder, "image_splits"))).filter((name) => name.endsWith(".txt")).sort();
  const splits = lists.map((name) => name.slice(0, -".txt".length));
  if (split !== undefined && !splits.includes(split))
    throw invalid(folder, `one of the splits ${splits.join(", ")}`, `"${split}"`);
  const texts = existsSync(join(folder, "raw")) ? join(folder, "raw") : folder;
  let found = false;
  for (const name of split === undefined ? splits : [split]) {
    const files = await textsOf(texts, name);
    if (files.length === 0) continue;
    found = true;
    yield { entries: () => entriesOf(folder, name, files, images) };
  }
  if (!found) {
    const expected =
      split === undefined ? "texts such as train.en or train.en.gz" : `texts such as ${split}.en`;
    throw new LingolensError("file-not-found", `${texts}: expected ${expected}, found none.`);
  }
}

interface TextFile {
  readonly path: string;
  readonly language: string;
}

async function textsOf(folder: string, split: string): Promise<TextFile[]> {
  const names = (await readdir(folder)).sort();
  return names.flatMap((name) => {
    if (!name.startsWith(`${split}.`)) return [];
    const [, language] =
      /^(?:\d+\.)?([a-z]{2}(?:_[A-Z]{2})?)(?:\.gz)?$/.exec(name.slice(split.length + 1)) ?? [];
    return language ? [{ path: join(folder, name), language }] : [];
  });
}

async function* entriesOf(
  folder: string,
  split: string,
  files: readonly TextFile[],
  images: string,
): AsyncGenerator<DatasetEntry> {
  const list = join(folder, "image_splits", `${split}.txt`);
  const names = await linesOf(list);
  const texts: { language: string; path: string; lines: string[] }[] = [];
  for (const file of files) {
    const lines = await linesOf(file.path);
    if (lines.length !== names.length)
      throw invalid(file.path, `${names.length} lines, as ${list} has`, `${lines.length}`);
    texts.push({ ...file, lines });
  }
  for (const [i, line] of names.entries()) {
    // COCO's pictures have the number of the caption behind a "#".
    const image = line.replace(/#.*$/, "").trim();
    const captions = new Map<string, string[]>();
    for (const { language, path, lines } of texts) {
      const text = lines[i]!.trim();
      if (text === "") throw invalid(`${path}, line ${i + 1}`, "a caption", "an empty line");
      captions.set(language, [...(captions.get(language) ?? []), text]);
    }
    const imagePath = pathWithin(images, image, `${list}, line ${i + 1}`);
    yield { image, imagePath, captions: Object.fromEntries(captions), fields: { split } };
  }
}

async function linesOf(path: string): Promise<string[]> {
  const bytes = await readFile(path);
  try {
    const plain = path.endsWith(".gz")
      ? await promisify(gunzip)(bytes, { maxOutputLength: LARGEST_BYTES })
      : bytes;
    const text = new TextDecoder("utf-8", { fatal: true }).decode(plain);
    return text.replace(/\r?\n$/, "").split(/\r?\n/);
  } catch (error) {
    throw invalid(path, "lines of UTF-8 text", (error as Error).message, error);
  }
}
