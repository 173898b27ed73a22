import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { maxAbsolute, maxAbsoluteDifference, readTensors, tinyModel } from "../../test/support/tiny-model.js";
import type { Engine, HostTensor } from "../engine/engine.js";
import { createNativeEngine } from "../engine/native.js";
import { type CaptionerConfig, parseConfig } from "../model/config.js";
import { adamWStep } from "./adamw.js";
import { GradientProgram } from "./gradient-program.js";
import { allocateTraining, fillTensor, type TrainingMemory } from "./parameters.js";
import { learningRateAt } from "./schedule.js";
import { SharedLoops } from "./shared-loops.js";
import type { CaptionBatch } from "./train-program.js";

let engine: Engine;
let config: CaptionerConfig;
let weights: Map<string, HostTensor>;
let batch: CaptionBatch;
let expected: Record<string, { float64: number; losses_before_each_step_f64: number[] }> & {
  params_with_mathematically_zero_grad: string[];
};

beforeAll(async () => {
  engine = await createNativeEngine();
  const json = async (name: string) => JSON.parse(await readFile(join(tinyModel, name), "utf8"));
  config = parseConfig(await json("config.json"), { weightsFormat: "safetensors" });
  expected = await json("train.json");
  weights = await readTensors(join(tinyModel, "model.safetensors"));
  const golden = await readTensors(join(tinyModel, "forward.safetensors"));
  const [pictures, length] = golden.get("labels")!.shape as [number, number];
  const rows = (name: string): HostTensor => ({ ...golden.get(name)!, shape: [pictures, 1, length] });
  batch = {
    pixelValues: golden.get("pixel_values")!,
    decoderInputIds: rows("decoder_input_ids"),
    labels: rows("labels"),
    positions: { dtype: "int64", shape: [length], data: BigInt64Array.from({ length }, (_, i) => BigInt(i)) },
  };
});
afterAll(() => engine.close());

/** Memory for training with the golden's weights in it. */
function trainingMemory(): TrainingMemory {
  const shapes = new Map([...weights].map(([name, { shape }]) => [name, shape]));
  const memory = allocateTraining(shapes, shapes);
  for (const [name, { data }] of weights) fillTensor(memory.parameters, name, data as Float32Array);
  return memory;
}

const place = { seed: 1, step: 0, firstPicture: 0 };

// Scores are computed once more for the gradient where keeping them would take too much memory.
const many = 2 ** 40;
describe.each([
  ["0.0", 1],
  ["0.1", 1],
  ["0.0", many],
  ["0.1", many],
])("with label smoothing %s, for up to %i tokens", (smoothing, maxTokens) => {
  let program: GradientProgram;
  beforeAll(async () => {
    const trainable = new Set(weights.keys());
    const dropout = { dropout: 0, inputDropout: 0, maskId: 0 };
    const options = { trainable, labelSmoothing: Number(smoothing), ...dropout, maxTokens };
    program = await GradientProgram.compile(engine, config, options);
  });

  it("gives PyTorch's loss and its gradient for every parameter", async () => {
    const { parameters, gradients: sums } = trainingMemory();
    const { lossSum, tokens } = await program.run(parameters, batch, place, sums);
    expect(lossSum / tokens).toBeCloseTo(expected[`loss_ls${smoothing}`]!.float64, 4);

    const gradients = await readTensors(join(tinyModel, `grads_ls${smoothing}.safetensors`));
    expect(gradients.size).toBe(100);
    for (const [name, { data }] of gradients) {
      const mean = sums.tensors[name]!.data.map((g) => g / tokens);
      const error = maxAbsoluteDifference(mean, data as Float32Array);
      const isZero = expected.params_with_mathematically_zero_grad.includes(name);
      expect(error, name).toBeLessThanOrEqual(isZero ? 1e-4 : 3e-4 * maxAbsolute(data as Float32Array));
    }
  });

  it("arrives at PyTorch's parameters after three steps of AdamW", async () => {
    const memory = trainingMemory();
    const loops = new SharedLoops(1);
    const options = { beta1: 0.9, beta2: 0.98, epsilon: 1e-8, weightDecay: 0.01 };

    for (let step = 0; step < 3; step++) {
      const { lossSum, tokens } = await program.run(memory.parameters, batch, place, memory.gradients);
      const loss = expected[`adamw3_ls${smoothing}`]!.losses_before_each_step_f64[step]!;
      expect(lossSum / tokens).toBeCloseTo(loss, 4);
      const rate = learningRateAt(step, { learningRate: 3e-4, warmupSteps: 2, steps: 10 });
      await adamWStep(loops, memory, step + 1, options, rate, 1 / tokens);
    }

    const golden = await readTensors(join(tinyModel, `params_after_3_adamw_ls${smoothing}.safetensors`));
    let outliers = 0;
    let largest = 0;
    let count = 0;
    for (const [name, { data }] of golden) {
      // The true gradient of a key's bias is 0; Adam turns its rounding noise into steps of up to the learning rate.
      const isNoise = name.endsWith("k_proj.bias");
      (data as Float32Array).forEach((value, i) => {
        const difference = Math.abs(memory.parameters.tensors[name]!.data[i]! - value);
        largest = Math.max(largest, difference);
        count += 1;
        if (!isNoise && difference > 5e-6) outliers += 1;
      });
    }
    expect(largest).toBeLessThanOrEqual(4.6e-4);
    expect(outliers / count).toBeLessThanOrEqual(1e-4);
  });
});
