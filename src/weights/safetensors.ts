/** Tensors in safetensors files: found, read and written one at a time, so that a checkpoint never stands twice in memory. */
import { LingolensError } from "../errors.js";
import { writeFileAtomically } from "./atomic-file.js";
import { allocate, fileSize, readFully, withFile, writeFully } from "./file-bytes.js";
import { bfloat16ToFloat32, float16ToFloat32 } from "./half.js";
import {
  ELEMENT_BYTES,
  encodeHeader,
  headerLength,
  LENGTH_BYTES,
  parseHeader,
  type SafetensorsDType,
  type SafetensorsEntry,
  type SafetensorsHeader,
} from "./safetensors-header.js";

export type SafetensorsData =
  | Float32Array
  | Float64Array
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | BigInt64Array
  | BigUint64Array;

/** A tensor in memory, row-major. F16 and BF16 are kept as their bits, BOOL as one byte an element. */
export interface SafetensorsTensor {
  readonly dtype: SafetensorsDType;
  readonly shape: readonly number[];
  readonly data: SafetensorsData;
}

/** A tensor to be written, whose values may be made when their turn comes, all at once or in pieces one by one. */
export interface SafetensorsSource {
  readonly dtype: SafetensorsDType;
  readonly shape: readonly number[];
  readonly data:
    | SafetensorsData
    | (() =>
        | SafetensorsData
        | Promise<SafetensorsData>
        | Iterable<SafetensorsData>
        | AsyncIterable<SafetensorsData>);
}

/** Where a tensor's bytes lie, as ONNX external data wants it. */
export interface TensorLocation {
  readonly file: string;
  /** First byte, counted from the beginning of the file. */
  readonly offset: number;
  /** Bytes. */
  readonly length: number;
}

/** A file whose header has been read and checked. It is not kept open. */
export interface SafetensorsFile {
  readonly path: string;
  readonly header: SafetensorsHeader;
}

const ARRAY_TYPE = {
  BOOL: Uint8Array,
  U8: Uint8Array,
  I8: Int8Array,
  I16: Int16Array,
  U16: Uint16Array,
  F16: Uint16Array,
  BF16: Uint16Array,
  I32: Int32Array,
  U32: Uint32Array,
  F32: Float32Array,
  F64: Float64Array,
  I64: BigInt64Array,
  U64: BigUint64Array,
} as const satisfies Record<SafetensorsDType, unknown>;

/** What `toFloat32` takes. */
export const FLOAT_DTYPES: readonly SafetensorsDType[] = ["F32", "F16", "BF16", "F64"];

/** Bytes held of each of two tensors that are compared. */
const PIECE = 1 << 20;

/**
 * Reads and checks the header.
 * @throws {LingolensError} `file-not-found`, `checkpoint-damaged`
 */
export async function openSafetensors(path: string): Promise<SafetensorsFile> {
  return withFile(path, async (file) => {
    const size = await fileSize(file, path);
    const start = new Uint8Array(LENGTH_BYTES);
    await readFully(file, start.subarray(0, Math.min(size, LENGTH_BYTES)), 0, path);
    const json = new Uint8Array(headerLength(start, size, path));
    await readFully(file, json, LENGTH_BYTES, path);
    return { path, header: parseHeader(json, size, path) };
  });
}

/** @throws {LingolensError} `checkpoint-mismatch` where the file has no tensor of this name. */
export function tensorLocation(file: SafetensorsFile, name: string): TensorLocation {
  const { offset, length } = entryOf(file, name);
  return { file: file.path, offset, length };
}

/**
 * Reads one tensor into fresh memory.
 * @throws {LingolensError} `checkpoint-mismatch`, `file-not-found`, `checkpoint-damaged`, `out-of-memory`
 */
export async function readTensor(file: SafetensorsFile, name: string): Promise<SafetensorsTensor> {
  const { dtype, shape, offset, length } = entryOf(file, name);
  const data = await readElements(dtype, { file: file.path, offset, length });
  return { dtype, shape, data };
}

/**
 * Reads the elements that lie at a place in a file, little-endian, into fresh memory.
 * @throws {LingolensError} `file-not-found`, `checkpoint-damaged`, `out-of-memory`
 */
export async function readElements(
  dtype: SafetensorsDType,
  { file: path, offset, length }: TensorLocation,
): Promise<SafetensorsData> {
  return withFile(path, async (file) => {
    const bytes = new Uint8Array(allocate(length, "a tensor"));
    await readFully(file, bytes, offset, path);
    return elementsOf(dtype, bytes.buffer);
  });
}

/** Bytes as elements, without a copy. */
export function elementsOf(dtype: SafetensorsDType, bytes: ArrayBuffer): SafetensorsData {
  return new ARRAY_TYPE[dtype](bytes);
}

/** Whether two tensors lie in their files byte for byte the same, read in pieces. */
export async function sameBytes(a: TensorLocation, b: TensorLocation): Promise<boolean> {
  if (a.length !== b.length) return false;
  return withFile(a.file, (fileA) =>
    withFile(b.file, async (fileB) => {
      const [piecesA, piecesB] = [Buffer.alloc(PIECE), Buffer.alloc(PIECE)];
      for (let done = 0; done < a.length; done += PIECE) {
        const pieceA = piecesA.subarray(0, Math.min(PIECE, a.length - done));
        const pieceB = piecesB.subarray(0, pieceA.length);
        await readFully(fileA, pieceA, a.offset + done, a.file);
        await readFully(fileB, pieceB, b.offset + done, b.file);
        if (!pieceA.equals(pieceB)) return false;
      }
      return true;
    }),
  );
}

/**
 * The tensor's values as float32; a float32 tensor's own memory.
 * @throws {LingolensError} `checkpoint-mismatch` for whole numbers and booleans, which are no weights.
 */
export function toFloat32({ dtype, data }: SafetensorsTensor): Float32Array {
  switch (dtype) {
    case "F32":
      return data as Float32Array;
    case "F16":
      return float16ToFloat32(data as Uint16Array);
    case "BF16":
      return bfloat16ToFloat32(data as Uint16Array);
    case "F64":
      return Float32Array.from(data as Float64Array);
    default:
      throw new LingolensError(
        "checkpoint-mismatch",
        `Expected a tensor of ${FLOAT_DTYPES.join(", ")}, got ${dtype}.`,
      );
  }
}

/**
 * Writes a file atomically, tensor by tensor. Equal tensors and metadata give equal bytes, whatever their order, and
 * the same bytes as Hugging Face's `safetensors` library.
 * @param metadata Free strings for the header. Default `{ format: "pt" }`, which Hugging Face's loaders ask for.
 */
export async function writeSafetensors(
  path: string,
  tensors: ReadonlyMap<string, SafetensorsSource>,
  metadata: Readonly<Record<string, string>> = { format: "pt" },
): Promise<void> {
  const { bytes, names } = encodeHeader(tensors, metadata);
  await writeFileAtomically(path, async (file) => {
    await writeFully(file, bytes);
    for (const name of names) {
      for await (const bytes of elementBytes(name, tensors.get(name)!)) await writeFully(file, bytes);
    }
  });
}

/**
 * The bytes of a tensor's values, a piece at a time.
 * @throws {LingolensError} `shape-mismatch` where they do not fit the dtype and shape
 */
export async function* elementBytes(
  name: string,
  { dtype, shape, data }: SafetensorsSource,
): AsyncGenerator<Uint8Array, void, undefined> {
  const elements = shape.reduce((product, size) => product * size, 1);
  const mismatch = (got: string) =>
    new LingolensError(
      "shape-mismatch",
      `Tensor ${name}: expected ${elements} elements of ${ELEMENT_BYTES[dtype]} bytes for ${dtype} ` +
        `[${shape}], got ${got}.`,
    );
  const made = typeof data === "function" ? await data() : data;
  let done = 0;
  for await (const piece of ArrayBuffer.isView(made) ? [made] : made) {
    done += piece.length;
    if (done > elements || piece.BYTES_PER_ELEMENT !== ELEMENT_BYTES[dtype])
      throw mismatch(`${done} of ${piece.BYTES_PER_ELEMENT}`);
    yield new Uint8Array(piece.buffer, piece.byteOffset, piece.byteLength);
  }
  if (done !== elements) throw mismatch(`${done}`);
}

function entryOf({ path, header }: SafetensorsFile, name: string): SafetensorsEntry {
  const entry = header.tensors.get(name);
  if (entry) return entry;
  throw new LingolensError(
    "checkpoint-mismatch",
    `${path}: expected a tensor "${name}", got none of this name.`,
  );
}
