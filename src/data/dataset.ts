/** Reads a dataset folder: `captions.jsonl`, a line a picture, beside the pictures it names. */
import { createReadStream } from "node:fs";
import { join, posix, resolve, sep, win32 } from "node:path";
import { LingolensError } from "../errors.js";

/** A picture with its captions. */
export interface DatasetEntry {
  /** As it stands in the line, relative to the folder. */
  readonly image: string;
  /** The file's absolute path, within the folder. Whether it is there shows when it is read. */
  readonly imagePath: string;
  /** By language as the line names it, such as "en" or "en_XX"; at least one caption in each. */
  readonly captions: Readonly<Record<string, readonly string[]>>;
  /** Every other field of the line. */
  readonly fields: Readonly<Record<string, unknown>>;
}

/** A line that is longer than this is no caption's; nothing more of it is kept. */
const LONGEST_LINE_BYTES = 4 * 2 ** 20;

/**
 * The entries of a dataset folder, in order, as they are read: the file may be larger than the memory.
 * @throws {LingolensError} `file-not-found` where the folder has no `captions.jsonl`; `dataset-invalid`, with the
 * line's number, for a line that is no entry or names a picture outside the folder, and for a file without a line.
 */
export async function* readDataset(folder: string): AsyncGenerator<DatasetEntry, void, undefined> {
  const path = join(folder, "captions.jsonl");
  let empty = true;
  for await (const { bytes, number } of linesOf(path)) {
    const place = `${path}, line ${number}`;
    const text = decode(bytes, place);
    if (text.trim() === "") continue;
    empty = false;
    yield parseEntry(text, folder, place);
  }
  if (empty) throw invalid(path, "a line for every picture", "an empty file");
}

function parseEntry(text: string, folder: string, place: string): DatasetEntry {
  const line = parseJson(text, place);
  if (!isRecord(line)) throw invalid(place, "a JSON object", kindOf(line));
  const { image, captions, ...fields } = line;
  if (typeof image !== "string" || image === "") {
    throw invalid(place, `"image" to be the path of a picture`, kindOf(image));
  }
  return {
    image,
    imagePath: pathWithin(folder, image, place),
    captions: parseCaptions(captions, place),
    fields,
  };
}

function parseCaptions(captions: unknown, place: string): DatasetEntry["captions"] {
  if (!isRecord(captions)) throw invalid(place, `"captions" to be an object by language`, kindOf(captions));
  const entries = Object.entries(captions).map(([language, value]) => {
    const texts: unknown[] = Array.isArray(value) ? value : [value];
    const allTexts = texts.every((text) => typeof text === "string" && text.trim() !== "");
    if (language === "" || texts.length === 0 || !allTexts) {
      const expected = `the captions of language ${JSON.stringify(language)} to be a text or a list of texts`;
      throw invalid(place, expected, JSON.stringify(value).slice(0, 80));
    }
    return [language, texts as string[]] as const;
  });
  if (entries.length === 0) throw invalid(place, "captions in at least one language", "none");
  return Object.fromEntries(entries);
}

/** @throws {LingolensError} for a path that leaves the folder, on this or another operating system. */
function pathWithin(folder: string, image: string, place: string): string {
  const root = resolve(folder);
  const path = resolve(root, image);
  const leaves = image.split(/[\\/]/).includes("..") || posix.isAbsolute(image) || win32.isAbsolute(image);
  if (leaves || image.includes("\0") || !path.startsWith(root.endsWith(sep) ? root : root + sep)) {
    throw invalid(place, `"image" to be a path within the dataset's folder`, JSON.stringify(image));
  }
  return path;
}

interface Line {
  readonly bytes: Uint8Array;
  /** From 1. */
  readonly number: number;
}

const NEWLINE = 0x0a;

async function* linesOf(path: string): AsyncGenerator<Line, void, undefined> {
  let number = 1;
  let started: Buffer[] = [];
  let length = 0;
  const keep = (piece: Buffer) => {
    length += piece.length;
    if (length > LONGEST_LINE_BYTES) {
      throw invalid(`${path}, line ${number}`, `at most ${LONGEST_LINE_BYTES} bytes in a line`, "more");
    }
    started.push(piece);
  };
  for await (const chunk of chunksOf(path)) {
    let from = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, from)) {
      keep(chunk.subarray(from, end));
      yield { bytes: Buffer.concat(started), number: number++ };
      started = [];
      length = 0;
      from = end + 1;
    }
    keep(chunk.subarray(from));
  }
  if (length > 0) yield { bytes: Buffer.concat(started), number };
}

async function* chunksOf(path: string): AsyncGenerator<Buffer, void, undefined> {
  try {
    yield* createReadStream(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "ENOENT" && code !== "ENOTDIR") throw error;
    throw new LingolensError(
      "file-not-found",
      `${path}: expected a dataset's list of pictures, found no such file. Name a folder that has one.`,
      { cause: error },
    );
  }
}

function decode(bytes: Uint8Array, place: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    throw invalid(place, "UTF-8 text", "other bytes", error);
  }
}

function parseJson(text: string, place: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw invalid(
      place,
      "a JSON object",
      `${JSON.stringify(text.slice(0, 40))} (${(error as Error).message})`,
      error,
    );
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function kindOf(value: unknown): string {
  if (value === undefined) return "nothing";
  if (value === null || value === "") return JSON.stringify(value);
  return Array.isArray(value) ? "a list" : `a value of type ${typeof value}`;
}

function invalid(place: string, expected: string, got: string, cause?: unknown): LingolensError {
  const message = `${place}: expected ${expected}, got ${got}. Correct or remove it.`;
  return new LingolensError("dataset-invalid", message, { cause });
}
