import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Engine } from "../engine/engine.js";
import { throwIfCancelled } from "../errors.js";
import type { PictureSource } from "../image/picture-source.js";
import { examplePictures } from "../weights/bundled-model.js";
import { SINGLE_FILE } from "../weights/checkpoint.js";
import { SCALE_SUFFIX, SMOOTHING_SUFFIX } from "../weights/int8-weights.js";
import { type ModelFolder, type Weight, writeSettings } from "../weights/model-folder.js";
import { type SafetensorsSource, writeSafetensors } from "../weights/safetensors.js";
import { elementCount } from "../weights/stored-tensor.js";
import { chooseInt8, type Int8Choice } from "./choose-int8.js";
import { type FloatWeight, toInt8 } from "./int8.js";
import { type SampledWeights, sampleInputs } from "./sample-inputs.js";

export interface QuantizeOptions {
  /** Pictures like those that the model will describe: on them the errors are measured. Default: the examples. */
  readonly pictures?: readonly PictureSource[];
  readonly threads?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Bytes of float32, each counted when it is looked at and when it is written. */
  readonly onProgress?: ((progress: { readonly done: number; readonly total: number }) => void) | undefined;
}

/** Relative errors of the weights of products; see `int8Error`. */
export interface QuantizationReport {
  /** Of those that are kept in int8. */
  readonly int8: ReadonlyMap<string, number>;
  /** Of those that stay in float32, because in int8 it would be too large. */
  readonly float32: ReadonlyMap<string, number>;
}

/** Largest relative error of a product that is kept in int8. Most are at 0.01 to 0.02. */
const MAX_ERROR = 0.06;

/**
 * Fills a folder with the model, its weights of products in int8: each in the way that changes least what the model
 * makes of the pictures, and in float32 where that is too much.
 * @throws {LingolensError} what is wrong with a picture; `cancelled`
 */
export async function quantizeModel(
  engine: Engine,
  folder: ModelFolder,
  out: string,
  { pictures = examplePictures, threads, signal, onProgress }: QuantizeOptions = {},
): Promise<QuantizationReport> {
  const samples = await sampleInputs(engine, folder, pictures, { threads, signal });
  const { tensors, report } = await quantizeWeights(folder.weights, samples, { signal, onProgress });
  const { config, generationConfig = {}, preprocessorConfig = {} } = folder;
  const files = [...folder.tokenizerFiles].map(async ([name, path]) => [name, await readFile(path)] as const);
  const tokenizerFiles = new Map(await Promise.all(files));
  await writeSettings(out, { config, generationConfig, preprocessorConfig, tokenizerFiles });
  await writeSafetensors(join(out, SINGLE_FILE), tensors);
  return report;
}

/**
 * A model's tensors with weights of products in int8, each rounded in the way that changes least what comes of its
 * sampled inputs, or not at all where that is too much. They are made when they are written.
 * @throws {LingolensError} `cancelled`
 */
export async function quantizeWeights(
  weights: ReadonlyMap<string, Weight>,
  samples: readonly SampledWeights[],
  { signal, onProgress }: Pick<QuantizeOptions, "signal" | "onProgress">,
): Promise<{ tensors: Map<string, SafetensorsSource>; report: QuantizationReport }> {
  const tensors = new Map<string, SafetensorsSource>();
  const report = { int8: new Map<string, number>(), float32: new Map<string, number>() };
  const bytes = ({ shape }: Weight): number => elementCount(shape) * Float32Array.BYTES_PER_ELEMENT;
  const looked = samples.flatMap(({ names }) => names.map((name) => weights.get(name)!));
  const total = [...looked, ...weights.values()].reduce((sum, weight) => sum + bytes(weight), 0);
  let done = 0;
  const read = async (weight: Weight): Promise<Float32Array> => {
    throwIfCancelled(signal);
    const values = await weight.read();
    done += bytes(weight);
    onProgress?.({ done, total });
    return values;
  };
  for (const { names, sample } of samples) {
    // A choice takes a second for the largest weight: whoever waits for the event loop goes first.
    await new Promise(setImmediate);
    const group = names.map((name) => weights.get(name)!);
    const values: FloatWeight[] = [];
    for (const weight of group) values.push(floatWeight(weight, await read(weight)));
    for (const [i, choice] of chooseInt8(values, sample).entries()) {
      if (choice.error > MAX_ERROR) report.float32.set(names[i]!, choice.error);
      else {
        report.int8.set(names[i]!, choice.error);
        for (const [name, tensor] of int8Tensors(
          names[i]!,
          { ...group[i]!, read: () => read(group[i]!) },
          choice,
        ))
          tensors.set(name, tensor);
      }
    }
  }
  for (const [name, weight] of weights)
    if (!tensors.has(name))
      tensors.set(name, { dtype: "F32", shape: weight.shape, data: () => read(weight) });
  return { tensors, report };
}

/** The tensors of a weight in int8; the steps are made when they are written. */
function int8Tensors(name: string, weight: Weight, choice: Int8Choice): [string, SafetensorsSource][] {
  const { scale, smoothing } = choice.scales;
  const [outputs, inputs] = weight.shape as [number, number];
  const steps = async () => toInt8(floatWeight(weight, await weight.read()), choice.scales);
  return [
    [name, { dtype: "I8", shape: [inputs, outputs], data: steps }],
    [name + SCALE_SUFFIX, { dtype: "F32", shape: [outputs], data: scale }],
    [name + SMOOTHING_SUFFIX, { dtype: "F32", shape: [inputs], data: smoothing }],
  ];
}

function floatWeight({ shape }: Weight, data: Float32Array): FloatWeight {
  const [outputs, inputs] = shape as [number, number];
  return { data, outputs, inputs };
}
