/**
 * The header of a safetensors file: 8 bytes with its length, little-endian, then JSON that gives every tensor's dtype,
 * shape and place in the bytes that follow. Format: https://huggingface.co/docs/safetensors.
 *
 * Files are untrusted: all that is said about a tensor is checked against the size of the file before any memory is
 * taken for it.
 */
import { LingolensError } from "../errors.js";

/** Bytes of one element. In the order in which the reference implementation lays tensors out, last first. */
export const ELEMENT_BYTES = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  I16: 2,
  U16: 2,
  F16: 2,
  BF16: 2,
  I32: 4,
  U32: 4,
  F32: 4,
  F64: 8,
  I64: 8,
  U64: 8,
} as const;

export type SafetensorsDType = keyof typeof ELEMENT_BYTES;

const LAYOUT_ORDER = Object.keys(ELEMENT_BYTES);

export interface SafetensorsEntry {
  readonly dtype: SafetensorsDType;
  readonly shape: readonly number[];
  /** First byte, counted from the beginning of the file. */
  readonly offset: number;
  /** Bytes. */
  readonly length: number;
}

export interface SafetensorsHeader {
  /** By name, in the order in which they lie in the file. */
  readonly tensors: ReadonlyMap<string, SafetensorsEntry>;
  readonly metadata: ReadonlyMap<string, string>;
}

export const LENGTH_BYTES = 8;
/** The limit that the reference implementation sets as well. */
const MAX_HEADER_BYTES = 100_000_000;

/**
 * Reads the length of the JSON part from a file's first 8 bytes.
 * @throws {LingolensError} `checkpoint-damaged`
 */
export function headerLength(start: Uint8Array, fileSize: number, fileName: string): number {
  if (fileSize < LENGTH_BYTES || start.byteLength < LENGTH_BYTES) {
    throw damaged(fileName, `expected at least ${LENGTH_BYTES} bytes, got ${fileSize}`);
  }
  const length = new DataView(start.buffer, start.byteOffset).getBigUint64(0, true);
  if (length > MAX_HEADER_BYTES) {
    throw damaged(fileName, `expected a header of at most ${MAX_HEADER_BYTES} bytes, got ${length}`);
  }
  if (LENGTH_BYTES + Number(length) > fileSize) {
    throw damaged(
      fileName,
      `expected a header of ${length} bytes, but the file ends after ${fileSize} bytes`,
    );
  }
  return Number(length);
}

/**
 * Reads and checks the JSON part: known dtypes, and tensors that cover the rest of the file without gap or overlap.
 * @throws {LingolensError} `checkpoint-damaged`
 */
export function parseHeader(json: Uint8Array, fileSize: number, fileName: string): SafetensorsHeader {
  const fields = parseObject(json, fileName);
  const dataStart = LENGTH_BYTES + json.byteLength;
  const entries: [string, SafetensorsEntry][] = [];
  const metadata = new Map<string, string>();
  for (const [name, value] of Object.entries(fields)) {
    if (name !== "__metadata__") {
      entries.push([name, parseEntry(value, dataStart, `${fileName}: tensor ${quote(name)}`)]);
      continue;
    }
    if (!isObject(value)) throw damaged(fileName, "expected an object as __metadata__");
    for (const [key, text] of Object.entries(value)) metadata.set(key, String(text));
  }
  entries.sort(([, a], [, b]) => a.offset - b.offset || a.length - b.length);
  let end = dataStart;
  for (const [name, entry] of entries) {
    if (entry.offset !== end) {
      throw damaged(fileName, `expected tensor ${quote(name)} at byte ${end}, got byte ${entry.offset}`);
    }
    end += entry.length;
  }
  if (end !== fileSize) {
    throw damaged(fileName, `expected ${end} bytes as the header says, got ${fileSize}`);
  }
  return { tensors: new Map(entries), metadata };
}

/** Reads the header from a whole file in memory. */
export function readSafetensorsHeader(file: Uint8Array, fileName = "safetensors file"): SafetensorsHeader {
  const length = headerLength(file, file.byteLength, fileName);
  return parseHeader(file.subarray(LENGTH_BYTES, LENGTH_BYTES + length), file.byteLength, fileName);
}

function parseObject(json: Uint8Array, fileName: string): object {
  try {
    const fields: unknown = JSON.parse(
      new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(json),
    );
    if (isObject(fields)) return fields;
  } catch (cause) {
    throw damaged(fileName, "expected a header in JSON, got something else", { cause });
  }
  throw damaged(fileName, "expected a JSON object as header, got another JSON value");
}

function parseEntry(value: unknown, dataStart: number, where: string): SafetensorsEntry {
  if (!isObject(value)) throw damaged(where, "expected an object with dtype, shape and data_offsets");
  const { dtype, shape, data_offsets: offsets } = value as Record<string, unknown>;
  if (!isDType(dtype)) {
    const got = typeof dtype === "string" ? quote(dtype) : typeof dtype;
    throw damaged(where, `expected as dtype one of ${LAYOUT_ORDER.join(", ")}, got ${got}`);
  }
  if (!isCountList(shape)) throw damaged(where, "expected as shape a list of whole numbers");
  if (!isCountList(offsets) || offsets.length !== 2) {
    throw damaged(where, "expected as data_offsets two whole numbers");
  }
  const [begin, end] = offsets as [number, number];
  const length = end - begin;
  const expected = shape.reduce((bytes, size) => bytes * size, ELEMENT_BYTES[dtype]);
  if (!Number.isSafeInteger(expected) || length !== expected) {
    throw damaged(where, `expected ${expected} bytes of ${dtype} [${shape.slice(0, 8)}], got ${length}`);
  }
  return { dtype, shape, offset: dataStart + begin, length };
}

/**
 * Encodes the length and the JSON part, in the order and with the padding of the reference implementation: large
 * dtypes first, then by name, so that every tensor is aligned to its elements and equal tensors give equal files.
 */
export function encodeHeader(
  tensors: ReadonlyMap<string, { readonly dtype: SafetensorsDType; readonly shape: readonly number[] }>,
  metadata: Readonly<Record<string, string>>,
): { readonly bytes: Uint8Array; readonly names: readonly string[] } {
  const rank = (name: string) => LAYOUT_ORDER.indexOf(tensors.get(name)!.dtype);
  const names = [...tensors.keys()].sort(
    (a, b) => rank(b) - rank(a) || Buffer.compare(Buffer.from(a), Buffer.from(b)),
  );
  const fields: [string, unknown][] = [["__metadata__", metadata]];
  let offset = 0;
  for (const name of names) {
    const { dtype, shape } = tensors.get(name)!;
    const end = shape.reduce((bytes, size) => bytes * size, ELEMENT_BYTES[dtype]) + offset;
    fields.push([name, { dtype, shape, data_offsets: [offset, end] }]);
    offset = end;
  }
  // Joined by hand: an object would put names that look like whole numbers first.
  const json = `{${fields.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join(",")}}`;
  const length = Math.ceil(Buffer.byteLength(json) / 8) * 8;
  const bytes = Buffer.alloc(LENGTH_BYTES + length, " ");
  bytes.writeBigUInt64LE(BigInt(length));
  bytes.write(json, LENGTH_BYTES);
  return { bytes, names };
}

/** A sentence about a damaged file, with what can be done. */
export function damaged(where: string, what: string, options?: ErrorOptions): LingolensError {
  return new LingolensError(
    "checkpoint-damaged",
    `${where}: ${what}. Download or copy the file again, and compare its size with the source's.`,
    options,
  );
}

function quote(text: string): string {
  return JSON.stringify(text.length > 100 ? `${text.slice(0, 100)}…` : text);
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isDType(value: unknown): value is SafetensorsDType {
  return typeof value === "string" && Object.hasOwn(ELEMENT_BYTES, value);
}

function isCountList(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((count) => Number.isSafeInteger(count) && count >= 0);
}
