/** Parameters to be written: a checkpoint's tensors, or values that are made. */
import { throwIfCancelled } from "../errors.js";
import { type SafetensorsSource, toFloat32 } from "./safetensors.js";
import { elementCount, type StoredTensor } from "./stored-tensor.js";

/** A parameter and how to come by its values. */
export type ParameterSource = Omit<StoredTensor, "file">;

export interface WritingOptions {
  /** Called as parameters are written, with bytes of float32. */
  readonly onProgress?: ((progress: { readonly done: number; readonly total: number }) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A parameter whose float32 values are made as they are asked for. */
export function madeParameter(
  shape: readonly number[],
  values: () => Iterable<Float32Array>,
): ParameterSource {
  return {
    dtype: "F32",
    shape,
    pieces: async function* () {
      yield* values();
    },
  };
}

/** The parameters in float32, a piece in memory at a time. */
export function float32Sources(
  parameters: ReadonlyMap<string, ParameterSource>,
  { onProgress, signal }: WritingOptions,
): Map<string, SafetensorsSource & { readonly data: () => AsyncIterable<Float32Array> }> {
  const bytes = (shape: readonly number[]) => elementCount(shape) * Float32Array.BYTES_PER_ELEMENT;
  const total = [...parameters.values()].reduce((sum, { shape }) => sum + bytes(shape), 0);
  let done = 0;
  return new Map(
    [...parameters].map(([name, { dtype, shape, pieces }]) => {
      const data = async function* (): AsyncGenerator<Float32Array> {
        for await (const piece of pieces()) {
          throwIfCancelled(signal);
          const values = toFloat32({ dtype, shape, data: piece });
          yield values;
          done += values.byteLength;
          onProgress?.({ done, total });
        }
      };
      return [name, { dtype: "F32", shape, data }] as const;
    }),
  );
}
