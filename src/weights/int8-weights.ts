/** Weights that a checkpoint keeps in int8, each with its scale and smoothing beside it; see `quantization/int8.ts`. */
import { LingolensError } from "../errors.js";
import { fromInt8 } from "../quantization/int8.js";
import type { TensorLocation } from "./safetensors.js";
import { readStoredTensor, type StoredTensor } from "./stored-tensor.js";

export interface Int8Weight {
  /** [outputs, inputs], as the weight has it in float32. */
  readonly shape: readonly [outputs: number, inputs: number];
  /** Where its steps [inputs, outputs], `scale` [outputs] and `smoothing` [inputs] lie. */
  readonly locations: Readonly<Record<"steps" | "scale" | "smoothing", TensorLocation>>;
  /** The values that it stands for, [outputs, inputs]. */
  read(): Promise<Float32Array>;
}

export const SCALE_SUFFIX = "_scale";
export const SMOOTHING_SUFFIX = "_smoothing";

/**
 * Takes the int8 weights out of a checkpoint's tensors.
 * @param where names the checkpoint in errors
 * @throws {LingolensError} `checkpoint-mismatch` where one lacks its scale or smoothing, or they do not fit
 */
export function separateInt8(
  where: string,
  tensors: ReadonlyMap<string, StoredTensor>,
): { int8: Map<string, Int8Weight>; others: Map<string, StoredTensor> } {
  const others = new Map(tensors);
  const int8 = new Map<string, Int8Weight>();
  for (const [name, steps] of tensors) {
    const scale = tensors.get(name + SCALE_SUFFIX);
    const smoothing = tensors.get(name + SMOOTHING_SUFFIX);
    // Other programs' int8 tensors have no smoothing; they are refused like any tensor that is no float.
    if (steps.dtype !== "I8" || !scale || !smoothing) continue;
    int8.set(name, int8Weight(`${where}: ${name}`, steps, scale, smoothing));
    for (const part of [name, name + SCALE_SUFFIX, name + SMOOTHING_SUFFIX]) others.delete(part);
  }
  return { int8, others };
}

function int8Weight(
  where: string,
  steps: StoredTensor,
  scale: StoredTensor,
  smoothing: StoredTensor,
): Int8Weight {
  const [inputs, outputs] = steps.shape;
  const fits =
    steps.shape.length === 2 &&
    `${scale.dtype} ${scale.shape}` === `F32 ${outputs}` &&
    `${smoothing.dtype} ${smoothing.shape}` === `F32 ${inputs}`;
  if (!fits || !steps.location || !scale.location || !smoothing.location)
    throw new LingolensError(
      "checkpoint-mismatch",
      `${where}: expected int8 [inputs, outputs] with F32 [outputs] as ${SCALE_SUFFIX} and F32 [inputs] as ` +
        `${SMOOTHING_SUFFIX}; got [${steps.shape}], ${scale.dtype} [${scale.shape}] and ` +
        `${smoothing.dtype} [${smoothing.shape}]. Export the model again.`,
    );
  return {
    shape: [outputs!, inputs!],
    locations: { steps: steps.location, scale: scale.location, smoothing: smoothing.location },
    read: async () => {
      const [values, scales, factors] = await Promise.all([steps, scale, smoothing].map(readStoredTensor));
      return fromInt8(values!.data as Int8Array, {
        scale: scales!.data as Float32Array,
        smoothing: factors!.data as Float32Array,
      });
    },
  };
}
