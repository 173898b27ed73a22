/**
 * The entries of a zip archive on disk, with zip64's large sizes and offsets, as PyTorch writes them. Format: PKWARE's
 * APPNOTE.TXT. Archives are untrusted: everything is checked against the size of the file before it is used.
 */
import type { FileHandle } from "node:fs/promises";
import { promisify } from "node:util";
import { crc32, inflateRaw } from "node:zlib";
import { LingolensError } from "../errors.js";
import { allocate, fileSize, readFully, withFile } from "./file-bytes.js";
import { damaged } from "./safetensors-header.js";

export interface ZipEntry {
  readonly compressed: boolean;
  /** First byte of its data, counted from the beginning of the file. */
  readonly offset: number;
  /** Bytes of its data in the archive. */
  readonly storedBytes: number;
  /** Bytes of its content. */
  readonly bytes: number;
  readonly crc32: number;
}

export interface ZipArchive {
  readonly path: string;
  readonly entries: ReadonlyMap<string, ZipEntry>;
}

const SIGNATURE = {
  local: 0x04034b50,
  central: 0x02014b50,
  end: 0x06054b50,
  end64: 0x06064b50,
  locator64: 0x07064b50,
};
const LOCAL_BYTES = 30;
const CENTRAL_BYTES = 46;
const END_BYTES = 22;
const LOCATOR_BYTES = 20;
const END64_BYTES = 56;
const MAX_COMMENT_BYTES = 0xffff;
const ENCRYPTED = 1;
const METHOD = { stored: 0, deflated: 8 };
/** Extra field that holds the sizes and offsets that do not fit 32 bits. */
const ZIP64_EXTRA = 1;

/** Far above any checkpoint's: one of 100,000 tensors has 10 MB. */
const MAX_DIRECTORY_BYTES = 1 << 26;
/** Bytes read at once to check an entry. */
const PIECE_BYTES = 1 << 20;
/** A compressed entry may unfold to this much even where the archive is small. */
const MIN_UNFOLDED_BYTES = 1 << 20;

/** Whether a file that starts with these bytes is a zip archive with something in it. */
export function isZip(start: Buffer): boolean {
  return start.length >= 4 && start.readUInt32LE() === SIGNATURE.local;
}

/**
 * Reads the list of entries.
 * @throws {LingolensError} `file-not-found`; `checkpoint-damaged`; `unsupported-format` for encrypted entries and
 * methods of compression other than deflate
 */
export async function openZip(path: string): Promise<ZipArchive> {
  return withFile(path, async (file) => {
    const size = await fileSize(file, path);
    const directory = await readDirectory(file, size, path);
    const entries = new Map<string, ZipEntry>();
    for (const { name, headerOffset, ...entry } of parseDirectory(directory, path)) {
      if (entries.has(name)) throw damaged(path, `expected the zip entry ${name} once, got it twice`);
      const offset = await dataOffset(file, size, headerOffset, path);
      if (offset + entry.storedBytes > size) {
        throw damaged(
          path,
          `expected ${entry.storedBytes} bytes of the zip entry ${name}, but the file ends before`,
        );
      }
      entries.set(name, { ...entry, offset });
    }
    return { path, entries };
  });
}

/** The bytes of the central directory, found from the archive's end. */
async function readDirectory(file: FileHandle, size: number, path: string): Promise<Buffer> {
  const tailOffset = Math.max(0, size - END_BYTES - MAX_COMMENT_BYTES - LOCATOR_BYTES);
  const tail = Buffer.alloc(size - tailOffset);
  await readFully(file, tail, tailOffset, path);
  const end = findEnd(tail);
  if (end < 0) throw damaged(path, "expected the end of a zip archive, got none: the file is cut short");
  let bytes = tail.readUInt32LE(end + 12);
  let offset = tail.readUInt32LE(end + 16);
  const locator = end - LOCATOR_BYTES;
  if (locator >= 0 && tail.readUInt32LE(locator) === SIGNATURE.locator64) {
    const record = Buffer.alloc(END64_BYTES);
    const recordOffset = large(tail, locator + 8);
    if (recordOffset + END64_BYTES > size) throw damaged(path, "expected a zip64 record within the file");
    await readFully(file, record, recordOffset, path);
    if (record.readUInt32LE() !== SIGNATURE.end64) throw damaged(path, "expected a zip64 record, got none");
    bytes = large(record, 40);
    offset = large(record, 48);
  }
  if (offset + bytes > size || bytes > MAX_DIRECTORY_BYTES) {
    throw damaged(
      path,
      `expected a zip directory of at most ${MAX_DIRECTORY_BYTES} bytes within the file, got ${bytes}`,
    );
  }
  const directory = Buffer.alloc(bytes);
  await readFully(file, directory, offset, path);
  return directory;
}

/** Where the end record lies: the last whose comment reaches to the end of the file. -1 where there is none. */
function findEnd(tail: Buffer): number {
  for (let at = tail.length - END_BYTES; at >= 0; at--) {
    if (
      tail.readUInt32LE(at) === SIGNATURE.end &&
      at + END_BYTES + tail.readUInt16LE(at + 20) === tail.length
    )
      return at;
  }
  return -1;
}

interface DirectoryEntry extends Omit<ZipEntry, "offset"> {
  readonly name: string;
  readonly headerOffset: number;
}

function* parseDirectory(directory: Buffer, path: string): Generator<DirectoryEntry> {
  for (let at = 0; at < directory.length; ) {
    if (at + CENTRAL_BYTES > directory.length || directory.readUInt32LE(at) !== SIGNATURE.central) {
      throw damaged(path, `expected an entry at byte ${at} of the zip directory, got something else`);
    }
    const [flags, method] = [directory.readUInt16LE(at + 8), directory.readUInt16LE(at + 10)];
    const nameEnd = at + CENTRAL_BYTES + directory.readUInt16LE(at + 28);
    const extraEnd = nameEnd + directory.readUInt16LE(at + 30);
    const entryEnd = extraEnd + directory.readUInt16LE(at + 32);
    if (entryEnd > directory.length) throw damaged(path, "expected the zip directory to go on, but it ends");
    const name = directory.toString("utf8", at + CENTRAL_BYTES, nameEnd);
    if (flags & ENCRYPTED || (method !== METHOD.stored && method !== METHOD.deflated)) {
      const what = flags & ENCRYPTED ? "an encrypted one" : `compression method ${method}`;
      throw new LingolensError(
        "unsupported-format",
        `${path}: zip entry ${name}: expected it stored or deflated, got ${what}. Save the checkpoint with PyTorch again.`,
      );
    }
    const wide = zip64Fields(directory.subarray(nameEnd, extraEnd));
    const field = (value: number) => (value === 0xffffffff ? (wide.shift() ?? value) : value);
    // In this order, since the wide ones are there in this order.
    const bytes = field(directory.readUInt32LE(at + 24));
    const storedBytes = field(directory.readUInt32LE(at + 20));
    const headerOffset = field(directory.readUInt32LE(at + 42));
    const compressed = method === METHOD.deflated;
    if (!compressed && bytes !== storedBytes) {
      throw damaged(path, `zip entry ${name}: expected ${bytes} bytes as stored, got ${storedBytes}`);
    }
    yield { name, compressed, bytes, storedBytes, headerOffset, crc32: directory.readUInt32LE(at + 16) };
    at = entryEnd;
  }
}

function zip64Fields(extra: Buffer): number[] {
  for (let at = 0; at + 4 <= extra.length; ) {
    const end = Math.min(extra.length, at + 4 + extra.readUInt16LE(at + 2));
    if (extra.readUInt16LE(at) === ZIP64_EXTRA) {
      const fields: number[] = [];
      for (let field = at + 4; field + 8 <= end; field += 8) fields.push(large(extra, field));
      return fields;
    }
    at = end;
  }
  return [];
}

/** A 64-bit number; one above 2⁵³ becomes inexact, and is beyond every file all the same. */
function large(bytes: Buffer, at: number): number {
  return Number(bytes.readBigUInt64LE(at));
}

/** The local header repeats the name, and its extra field may differ from the directory's: PyTorch pads with it. */
async function dataOffset(
  file: FileHandle,
  size: number,
  headerOffset: number,
  path: string,
): Promise<number> {
  const header = Buffer.alloc(LOCAL_BYTES);
  if (headerOffset + LOCAL_BYTES > size) throw damaged(path, "expected a zip entry within the file");
  await readFully(file, header, headerOffset, path);
  if (header.readUInt32LE() !== SIGNATURE.local)
    throw damaged(path, "expected a zip entry, got something else");
  return headerOffset + LOCAL_BYTES + header.readUInt16LE(26) + header.readUInt16LE(28);
}

/**
 * Compares a stored entry with its checksum, a piece at a time.
 * @throws {LingolensError} `checkpoint-damaged`
 */
export async function checkStoredEntry({ path }: ZipArchive, name: string, entry: ZipEntry): Promise<void> {
  await withFile(path, async (file) => {
    let checksum = 0;
    const piece = Buffer.alloc(Math.min(PIECE_BYTES, entry.bytes));
    for (let done = 0; done < entry.bytes; done += piece.length) {
      const part = piece.subarray(0, entry.bytes - done);
      await readFully(file, part, entry.offset + done, path);
      checksum = crc32(part, checksum);
    }
    compareChecksum(path, name, entry, checksum);
  });
}

/**
 * The content of an entry, checked against its checksum. An entry may not unfold to more than the archive's own size.
 * @throws {LingolensError} `checkpoint-damaged`, `out-of-memory`
 */
export async function readZipEntry({ path }: ZipArchive, name: string, entry: ZipEntry): Promise<Buffer> {
  const bytes = await withFile(path, async (file) => {
    const limit = Math.max(await fileSize(file, path), MIN_UNFOLDED_BYTES);
    if (entry.bytes > limit) {
      throw damaged(
        path,
        `zip entry ${name}: expected at most ${limit} bytes, got ${entry.bytes} in ${entry.storedBytes}`,
      );
    }
    const stored = Buffer.from(allocate(entry.storedBytes, `zip entry ${name}`));
    await readFully(file, stored, entry.offset, path);
    return stored;
  });
  const content = entry.compressed ? await inflate(path, name, entry, bytes) : bytes;
  compareChecksum(path, name, entry, crc32(content));
  return content;
}

async function inflate(path: string, name: string, { bytes }: ZipEntry, stored: Buffer): Promise<Buffer> {
  try {
    // One byte more than expected is already too much.
    const content = await promisify(inflateRaw)(stored, { maxOutputLength: bytes + 1 });
    if (content.length === bytes) return content;
  } catch (cause) {
    throw damaged(path, `zip entry ${name}: cannot be decompressed to ${bytes} bytes`, { cause });
  }
  throw damaged(path, `zip entry ${name}: expected ${bytes} bytes after decompression, got another number`);
}

function compareChecksum(path: string, name: string, entry: ZipEntry, checksum: number): void {
  // PyTorch can be told to leave checksums out.
  if (entry.crc32 === 0 || entry.crc32 === checksum) return;
  throw damaged(
    path,
    `zip entry ${name}: its content does not have the checksum that the archive gives for it`,
  );
}
