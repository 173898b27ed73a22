/** Text files that may be larger than the memory, in pieces of whole lines. */
import { type FileHandle, open } from "node:fs/promises";
import { LingolensError } from "../../errors.js";
import { invalid } from "./invalid.js";

/** Consecutive whole lines of a file. */
export interface LineRange {
  readonly path: string;
  /** Its bytes, from `start` to before `end`. */
  readonly start: number;
  readonly end: number;
  /** Number of its first line in the file, from 1. */
  readonly firstLine: number;
}

export interface Line {
  readonly text: string;
  /** File and number, for messages. */
  readonly place: string;
}

const RANGE_BYTES = 2 ** 20;
/** A line that is longer than this is no caption's; nothing more of it is kept. */
const LONGEST_LINE_BYTES = 4 * 2 ** 20;
const NEWLINE = 0x0a;

/**
 * Cuts a file into ranges of about so many bytes, without reading what its lines say.
 * @throws {LingolensError} `file-not-found`; `dataset-invalid` for a line of more than 4 MiB
 */
export async function* lineRanges(
  path: string,
  rangeBytes = RANGE_BYTES,
): AsyncGenerator<LineRange, void, undefined> {
  const file = await openFile(path);
  try {
    const { size } = await file.stat();
    let start = 0;
    let firstLine = 1;
    while (start < size) {
      let bytes = await readBytes(file, start, Math.min(rangeBytes, size - start));
      if (start + bytes.length < size && !bytes.includes(NEWLINE))
        bytes = await readBytes(file, start, Math.min(LONGEST_LINE_BYTES, size - start));
      const isLast = start + bytes.length >= size;
      const length = isLast ? bytes.length : bytes.lastIndexOf(NEWLINE) + 1;
      if (length === 0)
        throw invalid(`${path}, line ${firstLine}`, `at most ${LONGEST_LINE_BYTES} bytes in a line`, "more");
      yield { path, start, end: start + length, firstLine };
      for (let at = bytes.indexOf(NEWLINE); at >= 0 && at < length; at = bytes.indexOf(NEWLINE, at + 1))
        firstLine += 1;
      start += length;
    }
  } finally {
    await file.close();
  }
}

/** @throws {LingolensError} `file-not-found`; `dataset-invalid` for bytes that are no UTF-8 */
export async function* linesIn({
  path,
  start,
  end,
  firstLine,
}: LineRange): AsyncGenerator<Line, void, undefined> {
  const bytes = await readRange(path, start, end - start);
  let number = firstLine;
  for (let from = 0; from < bytes.length; number++) {
    const newline = bytes.indexOf(NEWLINE, from);
    const to = newline < 0 ? bytes.length : newline;
    const place = `${path}, line ${number}`;
    yield { text: decode(bytes.subarray(from, to), place), place };
    from = to + 1;
  }
}

/** All lines of a file, one after the other. */
export async function* linesOf(path: string, rangeBytes?: number): AsyncGenerator<Line, void, undefined> {
  for await (const range of lineRanges(path, rangeBytes)) yield* linesIn(range);
}

/** @throws {LingolensError} `file-not-found` */
export async function openFile(path: string): Promise<FileHandle> {
  try {
    return await open(path);
  } catch (cause) {
    throw new LingolensError("file-not-found", `${path} cannot be read: ${(cause as Error).message}.`, {
      cause,
    });
  }
}

/** So many bytes of a file; fewer where it ends before. */
export async function readRange(path: string, start: number, length: number): Promise<Buffer> {
  const file = await openFile(path);
  try {
    return await readBytes(file, start, length);
  } finally {
    await file.close();
  }
}

/** As `readRange`, of a file that is open. */
export async function readBytes(file: FileHandle, start: number, length: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(length);
  let done = 0;
  while (done < length) {
    const { bytesRead } = await file.read(bytes, done, length - done, start + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return bytes.subarray(0, done);
}

function decode(bytes: Uint8Array, place: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    throw invalid(place, "UTF-8 text", "other bytes", error);
  }
}
