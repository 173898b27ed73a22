import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { hostDevice } from "../../../test/support/host-device.js";
import { maxAbsoluteDifference } from "../../../test/support/tiny-model.js";
import { config, pictures } from "../../../test/support/tiny-pictures.js";
import type { DeviceEngine } from "../../engine/device/device-engine.js";
import type { Engine } from "../../engine/engine.js";
import { createNativeEngine } from "../../engine/native.js";
import { initializeParameters } from "../../model/initialize.js";
import { recipes } from "../../recipes/index.js";
import { parameterShapes } from "../../weights/parameter-shapes.js";
import { makeBatch } from "../batch.js";
import { oneProcess } from "../collective/one-process.js";
import type { EvaluationPrograms } from "../evaluation-programs.js";
import { trainableShapes } from "../freeze.js";
import { lossTargets } from "../gradient-program.js";
import { HostLearner } from "../host-learner.js";
import type { Learner } from "../learner.js";
import { allocateTraining, fillTensor, type TrainingMemory } from "../parameters.js";
import { resolveRecipe } from "../recipe.js";
import { SharedLoops } from "../shared-loops.js";
import { DeviceLearner } from "./device-learner.js";

let engine: Engine;
let device: DeviceEngine;
beforeAll(async () => {
  [engine, device] = [await createNativeEngine(), await hostDevice()];
});
afterAll(() => Promise.all([engine.close(), device.close()]));

const FROZEN = "model.encoder.vision_model.embeddings.*";
const recipe = {
  ...resolveRecipe(recipes.scenes, [
    ...["batchSize=8", "workers=2", "gradientAccumulation=2", "dropout=0.1", "inputDropout=0.1"],
    ...["labelSmoothing=0.1", `freeze=["${FROZEN}"]`],
  ]),
  dtype: "fp32",
} as const;
const shapes = parameterShapes(config);

function newMemory(): TrainingMemory {
  const memory = allocateTraining(shapes, trainableShapes(shapes, recipe.freeze));
  for (const [name, values] of initializeParameters(config, shapes, 1))
    fillTensor(memory.parameters, name, values);
  return memory;
}

const shared = { config, recipe, maskId: 3, partSize: 2 };
const onDevice = (memory: TrainingMemory) => DeviceLearner.create(device, { ...shared, memory });

async function take(learner: Learner, steps: number): Promise<{ loss: number; norm: number }[]> {
  const seen = [];
  for (let step = 0; step < steps; step++) {
    const { lossSum, tokens } = await learner.gradient(pictures, step, 0);
    seen.push({ loss: lossSum / tokens, norm: (await learner.norm()) / tokens });
    await learner.update(step + 1, 1e-3, 1 / tokens);
  }
  return seen;
}

const copyOf = ({ stretches }: TrainingMemory["mean"]) => stretches.map((stretch) => stretch.slice());
const same = (memory: TrainingMemory["mean"], copy: readonly Float32Array[]) =>
  expect(memory.stretches.map((stretch) => stretch.slice())).toEqual(copy);

it("trains as processors do, with parts of batches, masks, and parameters that are frozen or not needed", async () => {
  const [atHost, atDevice] = [newMemory(), newMemory()];
  const loops = new SharedLoops(1);
  const rest = { collective: oneProcess, loops, threads: 1 };
  const host = await HostLearner.create(engine, { ...shared, ...rest, memory: atHost });
  const learner = await onDevice(atDevice);
  const expected = await take(host, 3);
  (await take(learner, 3)).forEach(({ loss, norm }, step) => {
    expect(loss / expected[step]!.loss).toBeCloseTo(1, 5);
    expect(norm / expected[step]!.norm).toBeCloseTo(1, 5);
  });
  await learner.bringHome();
  for (const [name, { data }] of Object.entries(atHost.parameters.tensors)) {
    // The true gradient of a key's bias is 0; Adam turns its rounding noise into steps of up to the learning rate.
    const tolerance = name.endsWith("k_proj.bias") ? 6.1e-3 : 2e-5;
    const difference = maxAbsoluteDifference(atDevice.parameters.tensors[name]!.data, data);
    expect(difference, name).toBeLessThanOrEqual(tolerance);
  }
  for (const moment of ["mean", "square"] as const)
    atHost[moment].stretches.forEach((stretch, i) => {
      expect(maxAbsoluteDifference(atDevice[moment].stretches[i]!, stretch)).toBeLessThanOrEqual(1e-6);
    });
  await Promise.all([host.close(), learner.close(), loops.close()]);
});

it("evaluates with the parameters that it has at the moment", async () => {
  const loops = new SharedLoops(1);
  const rest = { collective: oneProcess, loops, threads: 1 };
  const host = await HostLearner.create(engine, { ...shared, ...rest, memory: newMemory() });
  const learner = await onDevice(newMemory());
  const batch = makeBatch(pictures, config, 9);
  const targets = lossTargets(batch, config.ids.pad);
  const evaluate = async ({ losses, runner }: EvaluationPrograms) => {
    const seen = await runner.encode(batch.pixelValues);
    const { decoderInputIds, labels, positions } = batch;
    const { logProbs } = await runner.run("score", seen, { decoderInputIds, labels, positions });
    await runner.release(seen);
    return [await losses(batch, targets), logProbs!.data as Float32Array] as const;
  };
  const [atHost, atDevice] = [await host.evaluation(), await learner.evaluation()];
  const before = await evaluate(atDevice);
  await Promise.all([host, learner].map((one) => take(one, 1)));
  const expected = await evaluate(atHost);
  (await evaluate(atDevice)).forEach((got, i) => {
    expect(maxAbsoluteDifference(got, expected[i]!)).toBeLessThanOrEqual(1e-3);
    expect(maxAbsoluteDifference(got, before[i]!)).toBeGreaterThan(1e-2);
  });
  const none = { places: new BigInt64Array(), labels: new BigInt64Array() };
  expect(await atDevice.losses(batch, none)).toHaveLength(0);
  await Promise.all([atHost, atDevice, host, learner, loops].map((one) => one.close()));
});

it("goes on from what it brought home with the same bits", async () => {
  const [whole, parted] = [newMemory(), newMemory()];
  const learner = await onDevice(whole);
  await take(learner, 2);
  await learner.bringHome();
  const first = await onDevice(parted);
  await take(first, 1);
  await first.bringHome();
  await first.close();
  const second = await onDevice(parted);
  const { tokens } = await second.gradient(pictures, 1, 0);
  await second.norm();
  await second.update(2, 1e-3, 1 / tokens);
  await second.bringHome();
  for (const part of ["parameters", "mean", "square"] as const) same(parted[part], copyOf(whole[part]));
  await Promise.all([learner.close(), second.close()]);
});

describe("what is at home", () => {
  it("stays as it was until it is brought up to date", async () => {
    const memory = newMemory();
    const [parameters, mean] = [copyOf(memory.parameters), copyOf(memory.mean)];
    const learner = await onDevice(memory);
    await take(learner, 1);
    same(memory.parameters, parameters);
    same(memory.mean, mean);
    await learner.bringHome();
    expect(copyOf(memory.parameters)).not.toEqual(parameters);
    expect(copyOf(memory.mean)).not.toEqual(mean);
    await learner.close();
  });

  it("is not changed by a step that is skipped, whose gradient is not finite", async () => {
    const memory = newMemory();
    memory.parameters.tensors["model.decoder.layer_norm.weight"]!.data[0] = Number.POSITIVE_INFINITY;
    const parameters = copyOf(memory.parameters);
    const learner = await onDevice(memory);
    await learner.gradient(pictures, 0, 0);
    expect(await learner.norm()).toBeNaN();
    await learner.gradient(pictures, 1, 0);
    expect(await learner.norm()).toBeNaN();
    await learner.bringHome();
    same(memory.parameters, parameters);
    await learner.close();
  });
});

it("says how fast products are", async () => {
  const learner = await onDevice(newMemory());
  expect(await learner.productSpeed(64)).toBeGreaterThan(1e6);
  await learner.close();
});
