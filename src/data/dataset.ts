/** Reads captioned pictures in the formats that docs/data.md lists: one reader for training, evaluation and scores. */
import { existsSync } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { extname, join } from "node:path";
import { LingolensError } from "../errors.js";
import { globFiles, hasWildcard } from "../image/glob.js";
import { resolveLanguage } from "../text/languages.js";
import { captionLines } from "./formats/caption-lines.js";
import { cocoBlocks } from "./formats/coco.js";
import { invalid } from "./formats/invalid.js";
import { readRange } from "./formats/lines.js";
import { multi30kBlocks } from "./formats/multi30k.js";
import { shardBlocks } from "./formats/shards.js";
import { tsvBlocks } from "./formats/tsv.js";

/** A picture with its captions. */
export interface DatasetEntry {
  /** Name of the picture in the dataset. */
  readonly image: string;
  /** Absolute path of the file that holds the picture. Whether it is there shows when it is read. */
  readonly imagePath: string;
  /** Where in that file the picture is, if it is a part of it: a shard. */
  readonly range?: { readonly start: number; readonly length: number };
  /** By language as the dataset names it, such as "en" or "en_XX"; at least one caption in each. */
  readonly captions: Readonly<Record<string, readonly string[]>>;
  /** Whatever else the dataset says of the picture. */
  readonly fields: Readonly<Record<string, unknown>>;
}

/** Some consecutive pictures, which can be read again without those before them. */
export interface DatasetBlock {
  entries(): AsyncIterable<DatasetEntry>;
}

export interface Dataset {
  readonly path: string;
  /** Pieces of up to a megabyte of text, or a shard each: all pictures, in order. */
  blocks(): AsyncIterable<DatasetBlock>;
  /** All pictures, in order, as they are read: the data may be larger than the memory. */
  entries(): AsyncGenerator<DatasetEntry, void, undefined>;
}

export interface DatasetOptions {
  /** Folder of the pictures. Default: that of the list, or `images/` beside it (docs/data.md). */
  readonly images?: string | undefined;
  /** Only pictures of this split, such as "train" or "val". Default: all. */
  readonly split?: string | undefined;
  /** Language of captions that name none (COCO's, and `.txt` in shards). Default "en". */
  readonly language?: string | undefined;
}

/**
 * Opens a dataset: a folder or a file of one of the formats, or a pattern of shards. Entries are checked as they are
 * read.
 * @throws {LingolensError} `file-not-found`; on opening and on reading `dataset-invalid`, with file and line
 */
export async function openDataset(path: string, options: DatasetOptions = {}): Promise<Dataset> {
  const { blocks, hasSplits = false } = await formatOf(path, options);
  const { split } = options;
  // Multi30k keeps its splits in files, and reads only the one that was asked for.
  const wanted = hasSplits ? undefined : split;
  async function* entries(): AsyncGenerator<DatasetEntry, void, undefined> {
    const splits = new Set<unknown>();
    let empty = true;
    let found = false;
    for await (const block of blocks())
      for await (const entry of block.entries()) {
        empty = false;
        if (splits.size < 10) splits.add(entry.fields.split);
        if (wanted !== undefined && entry.fields.split !== wanted) continue;
        found = true;
        yield entry;
      }
    if (empty) throw invalid(path, "a line for every picture", "an empty file");
    if (!found) throw invalid(path, `pictures with the split "${split}"`, namesOf(splits));
  }
  async function* blocksOfSplit(): AsyncGenerator<DatasetBlock> {
    for await (const block of blocks())
      yield wanted === undefined ? block : { entries: () => ofSplit(block, wanted) };
  }
  return { path, entries, blocks: blocksOfSplit };
}

async function* ofSplit(block: DatasetBlock, split: string): AsyncGenerator<DatasetEntry> {
  for await (const entry of block.entries()) if (entry.fields.split === split) yield entry;
}

function namesOf(splits: ReadonlySet<unknown>): string {
  const names = [...splits].filter((name) => typeof name === "string");
  return names.length > 0 ? names.map((name) => `"${name}"`).join(", ") : "none that name a split";
}

interface Format {
  readonly blocks: () => AsyncIterable<DatasetBlock>;
  /** Whether `blocks` has only the split asked for. */
  readonly hasSplits?: boolean;
}

async function formatOf(path: string, { images, split, language = "en" }: DatasetOptions): Promise<Format> {
  const found = await stat(path).catch(() => undefined);
  if (found?.isDirectory()) {
    if (existsSync(join(path, "captions.jsonl")))
      return { blocks: () => captionLines(join(path, "captions.jsonl"), images) };
    if (existsSync(join(path, "image_splits")))
      return { blocks: () => multi30kBlocks(path, { images, split }), hasSplits: true };
    const shards = (await readdir(path)).filter((name) => name.endsWith(".tar")).sort();
    if (shards.length > 0) {
      const paths = shards.map((name) => join(path, name));
      return { blocks: () => shardBlocks(paths, language) };
    }
    throw new LingolensError(
      "file-not-found",
      `${path}: expected captions.jsonl, shards (*.tar), or Multi30k's image_splits/ in the folder, found none of ` +
        "them. Name another folder, or the list itself.",
    );
  }
  if (!found && hasWildcard(path)) {
    const shards = await globFiles(path);
    const other = shards.find((name) => !name.endsWith(".tar"));
    if (other) throw invalid(path, "a pattern of shards (*.tar)", other);
    if (shards.length > 0) return { blocks: () => shardBlocks(shards, language) };
  }
  if (!found)
    throw new LingolensError(
      "file-not-found",
      `${path}: expected a dataset, found no such folder or file. Name a folder with captions.jsonl or shards, or ` +
        "a list of pictures.",
    );
  switch (extname(path)) {
    case ".jsonl":
      return { blocks: () => captionLines(path, images) };
    case ".tar":
      return { blocks: () => shardBlocks([path], language) };
    case ".tsv":
      return { blocks: () => tsvBlocks(path, images) };
    case ".json":
      return { blocks: () => cocoBlocks(path, { images, language }) };
    default:
      throw invalid(
        path,
        "a dataset: a folder, .jsonl, .tar, .tsv or .json",
        `a file that ends in "${extname(path)}"`,
      );
  }
}

/**
 * The entries of a dataset, in order, as they are read.
 * @throws {LingolensError} as `openDataset`
 */
export async function* readDataset(
  path: string,
  options: DatasetOptions = {},
): AsyncGenerator<DatasetEntry, void, undefined> {
  yield* (await openDataset(path, options)).entries();
}

/** The captions of an entry in a language, whichever way it names that. */
export function captionsIn({ captions }: Pick<DatasetEntry, "captions">, code: string): readonly string[] {
  const language = resolveLanguage(code);
  const names = [language.iso, language.code.toLowerCase()];
  const own = Object.entries(captions).find(([name]) => names.includes(name.trim().toLowerCase()));
  return own?.[1] ?? [];
}

/**
 * What `loadPicture` takes for an entry: its path, or its bytes where it is a part of a file.
 * @throws {LingolensError} `file-not-found`, `unreadable-image` where the file has become shorter
 */
export async function pictureOf({
  image,
  imagePath,
  range,
}: Pick<DatasetEntry, "image" | "imagePath" | "range">): Promise<string | Uint8Array> {
  if (!range) return imagePath;
  const bytes = await readRange(imagePath, range.start, range.length);
  if (bytes.length === range.length) return bytes;
  throw new LingolensError(
    "unreadable-image",
    `${imagePath}, ${image}: expected ${range.length} bytes from byte ${range.start}, found ${bytes.length}. ` +
      "The shard has become shorter.",
  );
}
