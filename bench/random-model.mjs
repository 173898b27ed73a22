// A model of the original's size with random weights, to time what does not depend on their values.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { originalConfig } from "../dist/model/original.js";
import { bundledModelFolder } from "../dist/weights/bundled-model.js";
import { writeModelFolder } from "../dist/weights/model-folder.js";
import { parameterShapes } from "../dist/weights/parameter-shapes.js";

/** The tokenizer is the bundled one: ids that it does not have are banned, so that every caption has a text. */
export async function writeRandomModel(folder, { vocabularySize } = {}) {
  const { decoder } = originalConfig;
  const config = { ...originalConfig, decoder: { ...decoder, ...(vocabularySize && { vocabularySize }) } };
  const shapes = parameterShapes(config);
  const parameters = new Map(
    [...shapes].map(([name, shape]) => {
      const data = new Float32Array(shape.reduce((a, b) => a * b, 1));
      if (/norm.*weight$/.test(name)) data.fill(1);
      else if (!name.endsWith("bias")) fillRandom(data, 0.02);
      return [name, { shape, data }];
    }),
  );
  // The bundled tokenizer knows the first ids only. Not lower: exponentials of less become denormal numbers, which are slow.
  parameters.get("final_logits_bias").data.fill(-50, 341);
  const names = ["sentencepiece.bpe.model", "tokenizer_config.json"];
  const files = await Promise.all(
    names.map(async (name) => [name, await readFile(join(bundledModelFolder, name))]),
  );
  await writeModelFolder(folder, {
    config,
    parameters,
    tokenizerFiles: new Map(files),
    preprocessorConfig: {},
    generationConfig: {},
  });
}

/** Uniform around 0: a linear congruential generator is random enough for timing, and fast. */
function fillRandom(data, deviation) {
  let state = 1;
  const scale = (deviation * Math.sqrt(12)) / 2 ** 32;
  for (let i = 0; i < data.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    data[i] = state * scale;
  }
}
