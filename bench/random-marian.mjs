// A Marian model of opus-mt's size with random weights, to time what does not depend on their values.
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { writeMarianConfig } from "../dist/model/marian-config.js";
import { marianParameterShapes } from "../dist/weights/parameter-shapes.js";
import { writeSafetensors } from "../dist/weights/safetensors.js";

/** As peers/hf_translate.py has it. */
export const opusMt = {
  hiddenSize: 512,
  maxPositions: 512,
  vocabularySize: 59514,
  activation: "swish",
  scaleEmbedding: true,
  encoder: { layers: 6, heads: 8, ffnDim: 2048 },
  decoder: { layers: 6, heads: 8, ffnDim: 2048, hiddenSize: 512, vocabularySize: 59514 },
  ids: { pad: 59513, eos: 0, decoderStart: 59513 },
  bannedSequences: [[59513]],
  renormalize: false,
};

export async function writeRandomMarian(folder, config = opusMt) {
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "config.json"), JSON.stringify(writeMarianConfig(config)));
  const random = randomNumbers();
  const parameters = [...marianParameterShapes(config)].filter(([name]) => !name.includes("embed_positions"));
  const tensors = parameters.map(([name, shape]) => {
    const data = new Float32Array(shape.reduce((a, b) => a * b, 1));
    if (/norm.*weight$/.test(name)) data.fill(1);
    else if (!name.endsWith("bias")) for (let i = 0; i < data.length; i++) data[i] = random() * 0.02;
    return [name, { dtype: "F32", shape, data }];
  });
  await writeSafetensors(join(folder, "model.safetensors"), new Map(tensors));
}

/** Uniform around 0, of deviation 1: a linear congruential generator is random enough for timing, and fast. */
function randomNumbers() {
  let state = 1;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return (state * Math.sqrt(12)) / 2 ** 32;
  };
}

/** Tokens of sentences, the same every time. */
export function randomSentences(count, length) {
  let state = 1;
  const next = () => {
    state = (state * 16807) % 2147483647;
    return state;
  };
  return Array.from({ length: count }, () => Array.from({ length }, () => 5 + (next() % 58000)));
}
