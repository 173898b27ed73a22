/**
 * What lies where in a tar file: POSIX ustar with PAX records, and GNU's long names. tar-stream, which writes our
 * shards, reads a file from end to end; here the members' bytes are passed over, so that a shard is listed without
 * reading its pictures, and each of them can be read alone.
 */
import type { FileHandle } from "node:fs/promises";
import { invalid } from "./invalid.js";
import { openFile, readBytes } from "./lines.js";

/** A file in a tar file. */
export interface TarMember {
  readonly name: string;
  /** Its first byte in the tar file. */
  readonly start: number;
  readonly length: number;
  /** Its bytes, until the next member is asked for. */
  read(): Promise<Buffer>;
}

const BLOCK = 512;
const WINDOW_BYTES = 8 * BLOCK;
/** PAX records and long names are a few hundred bytes. */
const LARGEST_RECORDS = 2 ** 20;

/**
 * The regular files of a tar file, in order.
 * @throws {LingolensError} `file-not-found`; `dataset-invalid`, with the place in bytes, for a file that is damaged
 * or cut short
 */
export async function* tarMembers(path: string): AsyncGenerator<TarMember, void, undefined> {
  const opened = await openFile(path);
  try {
    const { size } = await opened.stat();
    const file = new FileWindow(opened);
    let next: Partial<Header> = {};
    let emptyBlocks = 0;
    // Two blocks of zeros are the end.
    for (let at = 0; emptyBlocks < 2; ) {
      const place = `${path}, byte ${at}`;
      const block = await file.read(at, BLOCK);
      if (block.length < BLOCK) throw invalid(place, "the tar file to go on", "its end: it is cut short");
      at += BLOCK;
      if (block.every((byte) => byte === 0)) {
        emptyBlocks += 1;
        continue;
      }
      emptyBlocks = 0;
      const header = { ...readHeader(block, place), ...next };
      next = {};
      const { name, type, length } = header;
      if (at + length > size)
        throw invalid(
          place,
          `a member of ${length} bytes, ${JSON.stringify(name)}`,
          "the end of the tar file before that",
        );
      if ("xL".includes(type)) {
        if (length > LARGEST_RECORDS)
          throw invalid(place, `at most ${LARGEST_RECORDS} bytes of records`, `${length}`);
        const bytes = await file.read(at, length);
        next = type === "L" ? { name: textOf(bytes) } : paxRecords(bytes, place);
      } else if ("0\0".includes(type) && !name.endsWith("/")) {
        const start = at;
        yield { name, start, length, read: () => file.read(start, length) };
      }
      at += Math.ceil(length / BLOCK) * BLOCK;
    }
  } finally {
    await opened.close();
  }
}

/**
 * Reads ahead a little: a sample's description and the header of the next sample's picture mostly lie so close to each
 * other that one read gets both.
 */
class FileWindow {
  #start = 0;
  #bytes: Buffer = Buffer.alloc(0);

  constructor(private readonly file: FileHandle) {}

  /** So many bytes; fewer where the file ends before. */
  async read(start: number, length: number): Promise<Buffer> {
    const offset = start - this.#start;
    if (offset >= 0 && offset + length <= this.#bytes.length)
      return this.#bytes.subarray(offset, offset + length);
    if (length > WINDOW_BYTES) return readBytes(this.file, start, length);
    this.#start = start;
    this.#bytes = await readBytes(this.file, start, WINDOW_BYTES);
    return this.#bytes.subarray(0, length);
  }
}

interface Header {
  readonly name: string;
  readonly length: number;
  /** "0" or NUL for a file, "5" a folder, "x" PAX records and "L" a long name for the member that follows, … */
  readonly type: string;
}

function readHeader(block: Buffer, place: string): Header {
  let sum = 8 * 0x20;
  for (let i = 0; i < BLOCK; i++) if (i < 148 || i >= 156) sum += block[i]!;
  if (numberIn(block.subarray(148, 156)) !== sum)
    throw invalid(place, "a header of a tar file", "other bytes");
  const length = numberIn(block.subarray(124, 136));
  if (!Number.isSafeInteger(length) || length < 0) throw invalid(place, "a member's size", "no number");
  const type = String.fromCharCode(block[156]!);
  const isPosix = block.toString("latin1", 257, 263) === "ustar\0";
  const folder = isPosix ? textOf(block.subarray(345, 500)) : "";
  const name = textOf(block.subarray(0, 100));
  // Links and folders have no bytes, whatever size their header names.
  return { name: folder ? `${folder}/${name}` : name, type, length: "123456".includes(type) ? 0 : length };
}

/** Octal digits, or from GNU the bytes of a number behind a first one of 0x80. */
function numberIn(field: Buffer): number {
  if (field[0] === 0x80) return field.subarray(1).reduce((number, byte) => number * 256 + byte, 0);
  const digits = textOf(field).trim();
  return /^[0-7]+$/.test(digits) ? Number.parseInt(digits, 8) : Number.NaN;
}

/** Text up to the first NUL. */
function textOf(bytes: Buffer): string {
  const end = bytes.indexOf(0);
  return bytes.toString("utf8", 0, end < 0 ? bytes.length : end);
}

/** Of the records `LENGTH KEY=VALUE\n` those that change where a member lies or what it is called. */
function paxRecords(bytes: Buffer, place: string): Partial<Header> {
  const found: { name?: string; length?: number } = {};
  for (let at = 0; at < bytes.length; ) {
    const space = bytes.indexOf(" ", at);
    const length = Number(bytes.toString("latin1", at, Math.max(at, space)));
    if (!(Number.isSafeInteger(length) && length > space - at + 1 && at + length <= bytes.length))
      throw invalid(place, "PAX records", "other bytes");
    const record = bytes.toString("utf8", space + 1, at + length - 1);
    const [key, value] = [record.slice(0, record.indexOf("=")), record.slice(record.indexOf("=") + 1)];
    if (key === "path") found.name = value;
    if (key === "size") {
      if (!/^\d{1,15}$/.test(value))
        throw invalid(place, "a member's size", JSON.stringify(value.slice(0, 40)));
      found.length = Number(value);
    }
    at += length;
  }
  return found;
}
