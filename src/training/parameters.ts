import type { HostTensor } from "../engine/engine.js";
import { LingolensError } from "../errors.js";

/** Shapes of parameters by name. */
export type ParameterShapes = ReadonlyMap<string, readonly number[]>;

/** One stretch of memory that holds a tensor for every parameter: an optimiser walks it in one loop. */
export interface FlatTensors {
  readonly flat: Float32Array;
  /** Views into `flat`, by parameter name. */
  readonly tensors: Readonly<Record<string, HostTensor & { readonly data: Float32Array }>>;
}

export function allocateFlat(shapes: ParameterShapes): FlatTensors {
  const sizes = [...shapes].map(([name, shape]) => ({ name, shape, size: shape.reduce((a, b) => a * b, 1) }));
  const flat = new Float32Array(sizes.reduce((total, { size }) => total + size, 0));
  const tensors: Record<string, HostTensor & { data: Float32Array }> = {};
  let start = 0;
  for (const { name, shape, size } of sizes) {
    tensors[name] = { dtype: "float32", shape, data: flat.subarray(start, start + size) };
    start += size;
  }
  return { flat, tensors };
}

/** Copies values into place, checking that every parameter is given with its size. */
export function fillFlat({ tensors }: FlatTensors, values: ReadonlyMap<string, Float32Array>): void {
  for (const [name, tensor] of Object.entries(tensors)) {
    const value = values.get(name);
    if (value?.length !== tensor.data.length) {
      const got = value ? `${value.length}` : "nothing";
      throw new LingolensError(
        "checkpoint-mismatch",
        `${name}: expected ${tensor.data.length} values; got ${got}. Was this checkpoint made with another recipe?`,
      );
    }
    tensor.data.set(value);
  }
}
