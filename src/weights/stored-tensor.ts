/** Tensors of checkpoints of whatever format, their values still in the file. */
import { allocate } from "./file-bytes.js";
import {
  elementsOf,
  readElements,
  type SafetensorsData,
  type SafetensorsTensor,
  type TensorLocation,
} from "./safetensors.js";
import { ELEMENT_BYTES, type SafetensorsDType } from "./safetensors-header.js";

export interface StoredTensor {
  /** The file that holds it, for messages. */
  readonly file: string;
  readonly dtype: SafetensorsDType;
  readonly shape: readonly number[];
  /** Where its values lie in one stretch, row-major and little-endian; absent where they do not. */
  readonly location?: TensorLocation;
  /**
   * Its values in row-major order, read as they are asked for, a piece at a time.
   * @throws {LingolensError} `checkpoint-damaged`, `file-not-found`, `out-of-memory`
   */
  pieces(): AsyncIterable<SafetensorsData>;
}

/** Bytes read at once: enough to be fast, little beside a model. */
const PIECE_BYTES = 1 << 24;

export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** A tensor whose values lie in the file as they are. */
export function locatedTensor(
  dtype: SafetensorsDType,
  shape: readonly number[],
  location: TensorLocation,
): StoredTensor {
  return { file: location.file, dtype, shape, location, pieces: () => piecesAt(dtype, location) };
}

/** The elements at a place, a piece at a time. */
export async function* piecesAt(
  dtype: SafetensorsDType,
  { file, offset, length }: TensorLocation,
): AsyncGenerator<SafetensorsData, void, undefined> {
  for (let done = 0; done < length; done += PIECE_BYTES) {
    const piece = { file, offset: offset + done, length: Math.min(PIECE_BYTES, length - done) };
    yield await readElements(dtype, piece);
  }
}

/** The whole tensor in fresh memory. */
export async function readStoredTensor({
  dtype,
  shape,
  pieces,
}: Pick<StoredTensor, "dtype" | "shape" | "pieces">): Promise<SafetensorsTensor> {
  const elements = elementCount(shape);
  let whole: SafetensorsData | undefined;
  let done = 0;
  for await (const piece of pieces()) {
    if (piece.length === elements) return { dtype, shape, data: piece };
    whole ??= elementsOf(dtype, allocate(elements * ELEMENT_BYTES[dtype], "a tensor"));
    whole.set(piece as never, done); // of one type, which TypeScript cannot see
    done += piece.length;
  }
  return { dtype, shape, data: whole ?? elementsOf(dtype, new ArrayBuffer(0)) };
}
