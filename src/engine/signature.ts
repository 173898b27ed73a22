import { LingolensError } from "../errors.js";
import type { DType, HostTensor } from "./engine.js";

/** What a compiled program takes or gives under one name. */
export interface ValueSignature {
  readonly name: string;
  readonly dtype: DType;
  /** A name stands for a size known only when the program runs; "" for one of which nothing is known. */
  readonly shape: readonly (number | string)[];
}

/** A tensor in the caller's memory, or one elsewhere, whose memory is whoever's that made it. */
type TypedTensor = Pick<HostTensor, "dtype" | "shape">;

/** The memory of a tensor's elements. */
const MEMORY: Readonly<Record<DType, { array: string; bytes: number }>> = {
  float32: { array: "Float32Array", bytes: 4 },
  float16: { array: "Uint16Array", bytes: 2 },
  bfloat16: { array: "Uint16Array", bytes: 2 },
  int64: { array: "BigInt64Array", bytes: 8 },
  int32: { array: "Int32Array", bytes: 4 },
  int8: { array: "Int8Array", bytes: 1 },
  uint8: { array: "Uint8Array", bytes: 1 },
  bool: { array: "Uint8Array", bytes: 1 },
};

/** Of an element of each type. */
export const BYTES = Object.fromEntries(
  Object.entries(MEMORY).map(([dtype, { bytes }]) => [dtype, bytes]),
) as Readonly<Record<DType, number>>;

export const DTYPES = Object.keys(MEMORY) as DType[];

/**
 * The tensors in the order of the signatures, once every name, element type, shape and size is found right: native
 * code would read and write beyond the memory of a tensor that lies about itself. Inputs may hold more than the
 * program takes (all parameters of a model, say); an output that it does not give is refused, as nothing would
 * write it.
 * @param sizes sizes of named dimensions; names that are met first are added
 * @throws {LingolensError} `shape-mismatch`
 */
export function matchTensors<T extends TypedTensor>(
  side: "input" | "output",
  signatures: readonly ValueSignature[],
  tensors: Readonly<Record<string, T>>,
  sizes: Map<string, number>,
): T[] {
  if (side === "output") refuseUnknown(signatures, tensors);
  return signatures.map((signature) => {
    const tensor = tensors[signature.name];
    if (!tensor)
      throw mismatch(`The program's ${side} "${signature.name}" (${describe(signature)}) was not given.`);
    matchType(side, signature, tensor, sizes);
    if ("data" in tensor) matchMemory(side, signature.name, tensor as TypedTensor as HostTensor);
    return tensor;
  });
}

function refuseUnknown(
  signatures: readonly ValueSignature[],
  tensors: Readonly<Record<string, TypedTensor>>,
): void {
  const known = new Set(signatures.map(({ name }) => name));
  const unknown = Object.keys(tensors).find((name) => !known.has(name));
  if (unknown !== undefined)
    throw mismatch(`The program has no output "${unknown}"; its outputs are ${[...known].join(", ")}.`);
}

function matchType(
  side: string,
  signature: ValueSignature,
  tensor: TypedTensor,
  sizes: Map<string, number>,
): void {
  const axisFits = (size: number, axis: number) => {
    const dimension = signature.shape[axis]!;
    if (typeof dimension === "number") return size === dimension;
    if (dimension !== "" && !sizes.has(dimension)) sizes.set(dimension, size);
    return dimension === "" || size === sizes.get(dimension);
  };
  const fits =
    tensor.dtype === signature.dtype &&
    tensor.shape.length === signature.shape.length &&
    tensor.shape.every(axisFits);
  if (fits) return;
  const known = signature.shape.filter((dimension) => typeof dimension === "string" && sizes.has(dimension));
  const where = known.map((name) => `${name} = ${sizes.get(name as string)}`).join(", ");
  throw mismatch(
    `${side} "${signature.name}": expected ${describe(signature)}${where && ` with ${where}`}; got ${describe(tensor)}.`,
  );
}

function matchMemory(side: string, name: string, { dtype, shape, data, rounded }: HostTensor): void {
  const { array, bytes } = MEMORY[dtype];
  const count = shape.reduce((product, size) => product * size, 1);
  if (rounded && rounded.length !== data.length)
    throw mismatch(`${side} "${name}": ${data.length} numbers, but ${rounded.length} of them rounded.`);
  const sizesAreSizes = shape.every((size) => Number.isSafeInteger(size) && size >= 0);
  if (sizesAreSizes && data[Symbol.toStringTag] === array && data.byteLength === count * bytes) return;
  throw mismatch(
    `${side} "${name}": expected ${array} of ${count} elements for ${describe({ dtype, shape })}; ` +
      `got ${data[Symbol.toStringTag]} of ${data.length}.`,
  );
}

function describe({ dtype, shape }: Pick<ValueSignature, "dtype" | "shape">): string {
  return `${dtype}[${shape.map((dimension) => (dimension === "" ? "?" : dimension)).join(", ")}]`;
}

function mismatch(message: string): LingolensError {
  return new LingolensError("shape-mismatch", message);
}
