/** A Marian model with its weights in int8: made once, in the user's cache. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { folderWeights } from "../captioner/folder-weights.js";
import type { Engine } from "../engine/engine.js";
import { marianWeightInputs } from "../model/marian.js";
import { type CachedInt8Options, cachedInt8 } from "../quantization/cached-int8.js";
import {
  type QuantizationReport,
  type QuantizeOptions,
  quantizeWeights,
} from "../quantization/quantize-model.js";
import { sampledWeights } from "../quantization/sample-inputs.js";
import { SINGLE_FILE } from "../weights/checkpoint.js";
import { type MarianFolder, openMarianFolder, writeMarianSettings } from "../weights/marian-folder.js";
import { writeSafetensors } from "../weights/safetensors.js";
import { MarianTranslator } from "./marian-translator.js";

/**
 * The model in int8, from the cache or made into it: itself where it has weights in int8 already.
 * @param sentences tokens of sentences like those that it will translate, on which the errors are measured
 * @throws {LingolensError} `cancelled`, and what reading the weights throws
 */
export function int8Marian(
  engine: Engine,
  folder: MarianFolder,
  sentences: readonly (readonly number[])[],
  options: CachedInt8Options = {},
): Promise<MarianFolder> {
  const quantize = (out: string, rest: QuantizeOptions) =>
    quantizeMarian(engine, folder, sentences, out, rest);
  return cachedInt8(folder, { open: openMarianFolder, quantize }, options);
}

/** Fills a folder with the model in int8; see `quantizeModel`. */
export async function quantizeMarian(
  engine: Engine,
  folder: MarianFolder,
  sentences: readonly (readonly number[])[],
  out: string,
  { threads, signal, onProgress }: QuantizeOptions = {},
): Promise<QuantizationReport> {
  const translator = new MarianTranslator(engine, await folderWeights(folder), threads);
  try {
    const options = { beams: 1, ...(signal && { signal }) };
    const translations = await translator.translate(sentences, options);
    const inputs = await (await translator.programs.get("weightInputs")).run(
      translator.teacherForcedFeeds(
        sentences,
        translations.map(({ tokens }) => tokens.slice(0, -1)),
      ),
    );
    const samples = sampledWeights(marianWeightInputs(folder.config), inputs);
    const { tensors, report } = await quantizeWeights(folder.weights, samples, { signal, onProgress });
    const files = [...folder.tokenizerFiles].map(
      async ([name, path]) => [name, await readFile(path)] as const,
    );
    await writeMarianSettings(out, folder.config, new Map(await Promise.all(files)));
    await writeSafetensors(join(out, SINGLE_FILE), tensors);
    return report;
  } finally {
    await translator.close();
  }
}
