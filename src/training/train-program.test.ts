import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { maxAbsolute, maxAbsoluteDifference, readTensors, tinyModel } from "../../test/support/tiny-model.js";
import { type CompiledProgram, compileProgram } from "../engine/compile.js";
import type { Engine, HostTensor } from "../engine/engine.js";
import { createNativeEngine } from "../engine/native.js";
import { type CaptionerConfig, parseConfig } from "../model/config.js";
import { adamWStep, createAdamWState } from "./adamw.js";
import { countTokens } from "./batch.js";
import { allocateFlat, fillFlat } from "./parameters.js";
import { learningRateAt } from "./schedule.js";
import { type CaptionBatch, gradientName, trainProgram } from "./train-program.js";

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

describe.each(["0.0", "0.1"])("with label smoothing %s", (smoothing) => {
  let program: CompiledProgram;
  beforeAll(async () => {
    program = await compileProgram(engine, trainProgram(config, Number(smoothing)));
  });

  it("gives PyTorch's loss and its gradient for every parameter", async () => {
    const results = await program.run({ ...Object.fromEntries(weights), ...batch });
    const tokens = countTokens(batch, config.ids.pad);
    const loss = (results.lossSum!.data[0] as number) / tokens;
    expect(loss).toBeCloseTo(expected[`loss_ls${smoothing}`]!.float64, 4);

    const gradients = await readTensors(join(tinyModel, `grads_ls${smoothing}.safetensors`));
    expect(gradients.size).toBe(100);
    for (const [name, { data }] of gradients) {
      const result = results[gradientName(name)];
      const mean = result
        ? Float32Array.from(result.data as Float32Array, (g) => g / tokens)
        : new Float32Array(data.length);
      const error = maxAbsoluteDifference(mean, data as Float32Array);
      const isZero = expected.params_with_mathematically_zero_grad.includes(name);
      expect(error, name).toBeLessThanOrEqual(isZero ? 1e-4 : 3e-4 * maxAbsolute(data as Float32Array));
    }
  });

  it("arrives at PyTorch's parameters after three steps of AdamW", async () => {
    const parameters = allocateFlat(new Map([...weights].map(([name, { shape }]) => [name, shape])));
    fillFlat(parameters, new Map([...weights].map(([name, { data }]) => [name, data as Float32Array])));
    const gradients = allocateFlat(new Map([...weights].map(([name, { shape }]) => [name, shape])));
    const into = Object.fromEntries(
      Object.entries(gradients.tensors).map(([name, { data }]) => [gradientName(name), data]),
    );
    const optimizer = createAdamWState(parameters.flat.length);
    const options = { beta1: 0.9, beta2: 0.98, epsilon: 1e-8, weightDecay: 0.01 };
    const tokens = countTokens(batch, config.ids.pad);

    for (let step = 0; step < 3; step++) {
      const { lossSum } = await program.run({ ...parameters.tensors, ...batch }, into);
      const loss = expected[`adamw3_ls${smoothing}`]!.losses_before_each_step_f64[step]!;
      expect((lossSum!.data[0] as number) / tokens).toBeCloseTo(loss, 4);
      const rate = learningRateAt(step, { learningRate: 3e-4, warmupSteps: 2, steps: 10 });
      adamWStep(parameters.flat, gradients.flat, optimizer, options, rate, 1 / tokens);
    }

    const golden = await readTensors(join(tinyModel, `params_after_3_adamw_ls${smoothing}.safetensors`));
    let outliers = 0;
    let largest = 0;
    for (const [name, { data }] of golden) {
      // The true gradient of a key's bias is 0; Adam turns its rounding noise into steps of up to the learning rate.
      const isNoise = name.endsWith("k_proj.bias");
      (data as Float32Array).forEach((value, i) => {
        const difference = Math.abs(parameters.tensors[name]!.data[i]! - value);
        largest = Math.max(largest, difference);
        if (!isNoise && difference > 5e-6) outliers += 1;
      });
    }
    expect(largest).toBeLessThanOrEqual(4.6e-4);
    expect(outliers / parameters.flat.length).toBeLessThanOrEqual(1e-4);
  });
});
