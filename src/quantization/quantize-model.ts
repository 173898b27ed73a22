import type { Engine } from "../engine/engine.js";
import { throwIfCancelled } from "../errors.js";
import type { PictureSource } from "../image/picture-source.js";
import type { ModelFolder, Weight } from "../weights/model-folder.js";
import type { SafetensorsSource } from "../weights/safetensors.js";
import { chooseInt8, type Int8Choice } from "./choose-int8.js";
import { toInt8 } from "./int8.js";
import { sampleInputs } from "./sample-inputs.js";

export interface QuantizeOptions {
  /** Pictures like those that the model will describe: on them the errors are measured. */
  readonly pictures: readonly PictureSource[];
  readonly threads?: number;
  readonly signal?: AbortSignal;
  /** Weights looked at. */
  readonly onProgress?: (progress: { readonly done: number; readonly total: number }) => void;
}

/** What became of the weights that are multiplied. */
export interface QuantizedWeights {
  /** For the model's safetensors file; values are made when their turn comes. */
  readonly tensors: ReadonlyMap<string, SafetensorsSource>;
  /** Relative error of each weight that is kept in int8. */
  readonly int8: ReadonlyMap<string, number>;
  /** Weights that stay in float32 because their error in int8 is too large. */
  readonly float32: ReadonlyMap<string, number>;
}

/** Largest relative error of a product that is kept in int8. Most are at 0.01 to 0.02. */
const MAX_ERROR = 0.06;

/**
 * Chooses for every weight of a product, by the error that it makes on what the model multiplies it with, whether it
 * is kept in int8 and how.
 */
export async function quantizeWeights(
  engine: Engine,
  folder: ModelFolder,
  { pictures, threads, signal, onProgress }: QuantizeOptions,
): Promise<QuantizedWeights> {
  const samples = await sampleInputs(engine, folder, pictures, {
    ...(threads !== undefined && { threads }),
    ...(signal && { signal }),
  });
  const tensors = new Map<string, SafetensorsSource>();
  const int8 = new Map<string, number>();
  const float32 = new Map<string, number>();
  let done = 0;
  for (const [name, weight] of folder.weights) {
    throwIfCancelled(signal);
    const sample = samples.get(name);
    if (!sample) {
      tensors.set(name, { dtype: "F32", shape: weight.shape, data: () => weight.read() });
      continue;
    }
    // A choice takes a second for the largest weight: whoever waits for the event loop goes first.
    await new Promise(setImmediate);
    const choice = chooseInt8(await floatWeight(weight), sample);
    (choice.error <= MAX_ERROR ? int8 : float32).set(name, choice.error);
    for (const [key, tensor] of stored(name, weight, choice)) tensors.set(key, tensor);
    onProgress?.({ done: ++done, total: samples.size });
  }
  return { tensors, int8, float32 };
}

function stored(name: string, weight: Weight, { error, scales }: Int8Choice): [string, SafetensorsSource][] {
  if (error > MAX_ERROR) return [[name, { dtype: "F32", shape: weight.shape, data: () => weight.read() }]];
  const [outputs, inputs] = weight.shape as [number, number];
  return [
    [
      name,
      { dtype: "I8", shape: [inputs, outputs], data: async () => toInt8(await floatWeight(weight), scales) },
    ],
    [`${name}_scale`, { dtype: "F32", shape: [outputs], data: scales.scale }],
    [`${name}_smoothing`, { dtype: "F32", shape: [inputs], data: scales.smoothing }],
  ];
}

async function floatWeight(weight: Weight) {
  const [outputs, inputs] = weight.shape as [number, number];
  return { data: await weight.read(), outputs, inputs };
}
