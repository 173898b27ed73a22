import { mkdir, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { temporaryFolder } from "../../test/support/tiny-captioner.js";
import type { Engine } from "../engine/engine.js";
import { createNativeEngine } from "../engine/native.js";
import { clipPreprocessorConfig } from "../image/preprocessor-config.js";
import type { CaptionerConfig } from "../model/config.js";
import { initializeParameters } from "../model/initialize.js";
import { randomNumbers } from "../model/random.js";
import type { Mbart50Tokenizer } from "../text/mbart50-tokenizer.js";
import { loadTokenizerFolder } from "../text/tokenizer-folder.js";
import { bundledModelFolder } from "../weights/bundled-model.js";
import { parameterShapes } from "../weights/parameter-shapes.js";
import type { CaptionedPicture } from "./batch.js";
import { noProgress, type TrainingState } from "./checkpoint.js";
import { CheckpointWriter } from "./checkpoint-writer.js";
import type { TrainingData } from "./data.js";
import { allocateTraining, fillTensor } from "./parameters.js";
import { type Recipe, resolveRecipe } from "./recipe.js";
import { SharedLoops } from "./shared-loops.js";
import { type TrainOptions, train } from "./train.js";

const config: CaptionerConfig = {
  vision: {
    hiddenSize: 8,
    layers: 1,
    heads: 1,
    intermediateSize: 8,
    imageSize: 8,
    patchSize: 4,
    channels: 3,
    layerNormEps: 1e-5,
    activation: "quick_gelu",
  },
  decoder: {
    hiddenSize: 8,
    layers: 1,
    heads: 1,
    ffnDim: 8,
    vocabularySize: 20,
    maxPositions: 16,
    layerNormEps: 1e-5,
    activation: "gelu",
    scaleEmbedding: true,
    dropout: 0,
  },
  ids: { bos: 0, pad: 1, eos: 2, decoderStart: 2 },
};
const shapes = parameterShapes(config);

const recipe = resolveRecipe({
  name: "tiny",
  model: { kind: "pretrained", path: "bundled" },
  data: { kind: "scenes" },
  languages: ["en"],
  steps: 8,
  batchSize: 2,
  learningRate: 1e-2,
  warmupSteps: 0,
  logEvery: 4,
  evaluateEvery: 2,
  evaluateCount: 2,
  captionCount: 0,
  checkpointEvery: 2,
  keepCheckpoints: 2,
  maxSkippedSteps: 3,
});

let engine: Engine;
let tokenizer: Mbart50Tokenizer;
let folder: Awaited<ReturnType<typeof temporaryFolder>>;
const loops = new SharedLoops(1);
beforeAll(async () => {
  engine = await createNativeEngine();
  tokenizer = await loadTokenizerFolder(bundledModelFolder);
  folder = await temporaryFolder();
});
afterAll(async () => {
  await engine.close();
  await folder.remove();
});

let count = 0;
const newFolder = () => join(folder.path, `run-${count++}`);

function newState(): TrainingState {
  const memory = allocateTraining(shapes, shapes);
  for (const [name, values] of initializeParameters(config, shapes, 1))
    fillTensor(memory.parameters, name, values);
  return { progress: noProgress(), memory };
}

/** @param pixel what the pictures of a step are made of, beside noise */
function dataOf(pixel: (step: number) => number): TrainingData {
  const pictures = (seed: number, value: number): CaptionedPicture[] => {
    const random = randomNumbers(seed);
    return Array.from({ length: recipe.batchSize }, () => ({
      pixelValues: Float32Array.from({ length: 3 * 8 * 8 }, () => random() + value),
      captions: [[4, 5 + Math.floor(10 * random()), 2]],
    }));
  };
  return {
    batch: async (step) => pictures(step, pixel(step)),
    validation: async () => pictures(1000, 0),
    validationCount: recipe.batchSize,
    close: async () => {},
  };
}

async function run(out: string, options: Partial<TrainOptions> & { change?: Partial<Recipe> } = {}) {
  const { change, state = newState(), ...rest } = options;
  const warnings: string[] = [];
  await train({
    engine,
    config,
    recipe: { ...recipe, ...change, dtype: "fp32" },
    data: dataOf(() => 0),
    tokenizer,
    preprocessor: clipPreprocessorConfig(8),
    generationConfig: {},
    state,
    out,
    writeModel: async (path) => void (await mkdir(path, { recursive: true })),
    onWarning: (message) => warnings.push(message),
    ...rest,
  });
  const lines = (await readFile(join(out, "metrics.jsonl"), "utf8"))
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  return { warnings, state, lines };
}

describe("a step whose loss is not finite", () => {
  const damaged = dataOf((step) => (step === 1 || step === 2 || step === 4 ? Number.NaN : 0));

  it("is skipped and named, and the run goes on from the parameters before it", async () => {
    const { warnings, state, lines } = await run(newFolder(), { data: damaged });
    expect(warnings).toEqual(
      [2, 3, 5].map((step) => `Step ${step} is skipped, as its loss is not a finite number.`),
    );
    expect(state.progress).toMatchObject({ step: 8, optimizerStep: 5, skippedInARow: 0 });
    expect(state.memory.parameters.stretches[0]!.every(Number.isFinite)).toBe(true);
    const logged = lines.filter(({ lr }) => lr !== undefined);
    expect(logged.map(({ step, skipped }) => [step, skipped])).toEqual([
      [4, 2],
      [8, 1],
    ]);
    for (const { loss } of logged) expect(loss).toBeGreaterThan(0);
  });

  it("stops the run as the last of too many in a row", async () => {
    const ended = run(newFolder(), { data: damaged, change: { maxSkippedSteps: 2 } });
    await expect(ended).rejects.toMatchObject({
      code: "training-diverged",
      message: expect.stringContaining(
        "2 steps in a row, up to step 3, was not a finite number (maxSkippedSteps)",
      ),
    });
  });

  it("counts as one in a row with those before a checkpoint", async () => {
    const out = newFolder();
    const controller = new AbortController();
    const state = newState();
    const data = dataOf((step) => (step >= 1 ? Number.NaN : 0));
    const onProgress: TrainOptions["onProgress"] = ({ step }) => step === 3 && controller.abort();
    await expect(run(out, { state, data, onProgress, signal: controller.signal })).rejects.toMatchObject({
      code: "cancelled",
    });
    const written = await readFile(join(out, "checkpoints/step-000003/training-state.json"), "utf8");
    expect(JSON.parse(written)).toMatchObject({ step: 3, optimizerStep: 1, skippedInARow: 2 });
  });
});

it("a step whose gradient alone is not finite is skipped, too", async () => {
  const state = newState();
  const { tensors } = state.memory.parameters;
  // All scores are 0 and the loss is ordinary; the head's matrix is what overflows in its gradient. Only rows of tokens
  // that are never read are so large.
  tensors["model.decoder.layer_norm.weight"]!.data.fill(0);
  const embedding = tensors["model.shared.weight"]!.data;
  embedding.fill(3.4e38, 6 * 8, 7 * 8);
  embedding.fill(-3.4e38, 8 * 8);
  const data = dataOf(() => 0);
  const batch = async (step: number) =>
    (await data.batch(step)).map((picture) => ({ ...picture, captions: [[4, 5, 6]] }));
  const warnings: string[] = [];
  const ended = run(newFolder(), {
    state,
    data: { ...data, batch },
    onWarning: (text) => warnings.push(text),
  });
  await expect(ended).rejects.toMatchObject({ code: "training-diverged" });
  expect(warnings[0]).toBe("Step 1 is skipped, as its gradient is not a finite number.");
});

it("the checkpoint of the lowest loss in evaluation is kept beside the newest", async () => {
  const out = newFolder();
  // From step 3 on, the learning rate is such that what was learnt is lost.
  const change = { learningRate: 0.3, warmupSteps: 8, steps: 12 };
  const { lines } = await run(out, { change });
  const losses = lines.flatMap(({ step, evaluation }) =>
    evaluation ? [{ step, loss: evaluation.loss }] : [],
  );
  const best = losses.reduce((a, b) => (b.loss < a.loss ? b : a));
  const expected = [...new Set([best.step, 10, 12])].map((step) => `step-${String(step).padStart(6, "0")}`);
  expect(best.step).toBeLessThan(10);
  expect(await readdir(join(out, "checkpoints"))).toEqual(expected);
});

describe("a checkpoint in the background", () => {
  it("holds the state as it was, while training changes it", async () => {
    const out = newFolder();
    const state = newState();
    let release = () => {};
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    let written: Float32Array | undefined;
    const checkpoints = new CheckpointWriter({
      out,
      loops,
      keep: 1,
      writeModel: async (_, { tensors }) => {
        await released;
        written = tensors["model.shared.weight"]!.data.slice();
      },
    });
    const weights = state.memory.parameters.tensors["model.shared.weight"]!.data;
    const before = weights.slice();
    state.progress.step = 5;
    await checkpoints.start(state);
    weights.fill(7);
    state.progress.step = 6;
    release();
    await checkpoints.finish();
    expect(written).toEqual(before);
    expect(await readdir(join(out, "checkpoints"))).toEqual(["step-000005"]);
  });

  it("that cannot be written ends the run by name, and those before it stay", async () => {
    const out = newFolder();
    let models = 0;
    const full = Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC" });
    const writeModel = async () => {
      if (++models === 2) throw full;
    };
    await expect(run(out, { writeModel })).rejects.toMatchObject({
      code: "output-unwritable",
      message: expect.stringMatching(/run-\d+ cannot be written to: ENOSPC.*run the same command again/s),
    });
    expect(await readdir(join(out, "checkpoints"))).toEqual(["step-000002"]);
  });
});
