// One training step of the original's size, to be run in a process of its own: bench/train.mjs does.
//
//     node bench/train-step.mjs [--dtype fp32|bf16] [--batch 8] [--length 32] [freeze patterns...]
//
// Prints as JSON the seconds of forward and backward, of the gradient's norm, and of AdamW, the median of three steps
// after a first one; the process's largest memory; and the model's floating-point operations by product.

import { parseArgs } from "node:util";
import { createBf16Engine } from "../dist/engine/bf16/bf16-engine.js";
import { createNativeEngine } from "../dist/engine/native.js";
import { initialPieces } from "../dist/model/initialize.js";
import { originalConfig as config } from "../dist/model/original.js";
import { randomNumbers } from "../dist/model/random.js";
import { adamWStep, globalNorm } from "../dist/training/adamw.js";
import { makeBatch } from "../dist/training/batch.js";
import { trainableShapes } from "../dist/training/freeze.js";
import { GradientProgram } from "../dist/training/gradient-program.js";
import { allocateTraining } from "../dist/training/parameters.js";
import { roundFrozen, roundParameters, SharedLoops } from "../dist/training/shared-loops.js";
import { parameterShapes } from "../dist/weights/parameter-shapes.js";

const { values: settings, positionals: freeze } = parseArgs({
  options: {
    dtype: { type: "string", default: "fp32" },
    batch: { type: "string", default: "8" },
    length: { type: "string", default: "32" },
  },
  allowPositionals: true,
});
const [batchSize, length] = [Number(settings.batch), Number(settings.length)];
const threads = 2;

const shapes = parameterShapes(config);
const trainable = trainableShapes(shapes, freeze);
const memory = allocateTraining(shapes, trainable, undefined, settings.dtype === "bf16");
for (const [name, pieces] of initialPieces(config, shapes, 0)) {
  let done = 0;
  for (const piece of pieces()) {
    memory.parameters.tensors[name].data.set(piece, done);
    done += piece.length;
  }
}

const random = randomNumbers(1);
const pictures = Array.from({ length: batchSize }, () => ({
  pixelValues: Float32Array.from({ length: 3 * 224 * 224 }, () => 2 * random() - 1),
  captions: [Array.from({ length }, () => 4 + Math.floor(250_000 * random()))],
}));
const batch = makeBatch(pictures, config, length);

const engine = await (settings.dtype === "bf16" ? createBf16Engine() : createNativeEngine());
const program = await GradientProgram.compile(engine, config, {
  trainable: new Set(trainable.keys()),
  labelSmoothing: 0,
  dropout: 0.1,
  inputDropout: 0,
  maskId: 0,
  maxTokens: batchSize * length,
  threads,
  dtype: settings.dtype,
});
const loops = new SharedLoops(threads);
roundFrozen(memory);
await roundParameters(loops, memory.parameters);
const options = { beta1: 0.9, beta2: 0.98, epsilon: 1e-8, weightDecay: 0.01 };
const times = [];
for (let step = 0; step < 4; step++) {
  const start = performance.now();
  const { lossSum, tokens } = await program.run(
    memory.parameters,
    batch,
    { seed: 0, step, firstPicture: 0 },
    memory.gradients,
  );
  const computed = performance.now();
  const norm = (await globalNorm(loops, memory.gradients)) / tokens;
  const measured = performance.now();
  await adamWStep(loops, memory, step + 1, options, 1e-4, Math.min(1, 1 / norm) / tokens);
  const updated = performance.now();
  if (!Number.isFinite(lossSum)) throw new Error(`The loss of step ${step} is ${lossSum}.`);
  times.push([computed - start, measured - computed, updated - measured]);
  if (process.env.VERBOSE)
    console.error(lossSum / tokens, norm, times.at(-1), process.memoryUsage().rss / 1e9);
}
await Promise.all([program.close(), loops.close()]);
await engine.close();

const median = (i) =>
  times
    .slice(1)
    .map((row) => row[i])
    .sort((a, b) => a - b)[1] / 1000;
console.log(
  JSON.stringify({
    gradient: median(0),
    norm: median(1),
    update: median(2),
    peakGigabytes: process.resourceUsage().maxRSS / 1e6,
  }),
);
