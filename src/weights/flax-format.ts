/** What Flax's msgpack files are made of beyond plain msgpack: flax/serialization.py. */
import type { SafetensorsDType } from "./safetensors-header.js";

/** Types of msgpack's extension objects. An array's holds msgpack: [shape, dtype's name, the elements' bytes]. */
export const EXTENSION = { array: 1, complex: 2, scalar: 3 } as const;

/** A map with this key stands for a large array in pieces: `shape` and `chunks` are maps from "0", "1", … */
export const CHUNKED_KEY = "__msgpack_chunked_array__";

/** Arrays of more bytes are written in chunks of so many. */
export const MAX_CHUNK_BYTES = 2 ** 30;

/** NumPy's names of dtypes, and JAX's bfloat16. */
export const DTYPE_NAMES: Readonly<Record<SafetensorsDType, string>> = {
  BOOL: "bool",
  U8: "uint8",
  I8: "int8",
  I16: "int16",
  U16: "uint16",
  F16: "float16",
  BF16: "bfloat16",
  I32: "int32",
  U32: "uint32",
  F32: "float32",
  F64: "float64",
  I64: "int64",
  U64: "uint64",
};
