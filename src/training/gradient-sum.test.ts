import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { maxAbsolute, maxAbsoluteDifference } from "../../test/support/tiny-model.js";
import type { Engine } from "../engine/engine.js";
import { createNativeEngine } from "../engine/native.js";
import type { CaptionerConfig } from "../model/config.js";
import { initializeParameters } from "../model/initialize.js";
import { randomNumbers } from "../model/random.js";
import { recipes } from "../recipes/index.js";
import { parameterShapes } from "../weights/parameter-shapes.js";
import type { CaptionedPicture } from "./batch.js";
import { GradientProgram } from "./gradient-program.js";
import { GradientSum } from "./gradient-sum.js";
import { allocateTraining, fillTensor, type TrainingMemory } from "./parameters.js";
import { resolveRecipe } from "./recipe.js";
import { SharedLoops } from "./shared-loops.js";

const config: CaptionerConfig = {
  vision: {
    hiddenSize: 16,
    layers: 1,
    heads: 2,
    intermediateSize: 32,
    imageSize: 8,
    patchSize: 4,
    channels: 3,
    layerNormEps: 1e-5,
    activation: "quick_gelu",
  },
  decoder: {
    hiddenSize: 16,
    layers: 1,
    heads: 2,
    ffnDim: 32,
    vocabularySize: 40,
    maxPositions: 16,
    layerNormEps: 1e-5,
    activation: "gelu",
    scaleEmbedding: true,
    dropout: 0,
  },
  ids: { bos: 0, pad: 1, eos: 2, decoderStart: 2 },
};

/** Eight pictures with captions of 2 to 12 tokens in two languages, one of which has none for some. */
const pictures: readonly CaptionedPicture[] = Array.from({ length: 8 }, (_, i) => {
  const random = randomNumbers(i);
  const caption = (length: number) => [
    39,
    ...Array.from({ length: length - 2 }, () => 3 + Math.floor(random() * 36)),
    2,
  ];
  return {
    pixelValues: Float32Array.from({ length: 3 * 8 * 8 }, () => random() * 2 - 1),
    captions: [caption(2 + i), i % 3 === 0 ? [] : caption(12 - i)],
  };
});
const tokens = pictures.flatMap(({ captions }) => captions).reduce((sum, { length }) => sum + length, 0);

const shapes = parameterShapes(config);

let engine: Engine;
let memory: TrainingMemory;
const loops = new SharedLoops(1);
beforeAll(async () => {
  engine = await createNativeEngine();
  memory = allocateTraining(shapes, shapes);
  for (const [name, values] of initializeParameters(config, shapes, 1))
    fillTensor(memory.parameters, name, values);
});
afterAll(() => engine.close());

async function gradient({ dropout = 0, workers = 1, gradientAccumulation = 1, step = 5, seed = 42 }) {
  const recipe = resolveRecipe(recipes.scenes, [
    "batchSize=8",
    `workers=${workers}`,
    `gradientAccumulation=${gradientAccumulation}`,
    `seed=${seed}`,
  ]);
  const trainable = new Set(shapes.keys());
  // Inputs are dropped where hidden states are.
  const options = { trainable, labelSmoothing: 0.1, dropout, inputDropout: dropout, maskId: 3, maxTokens: 1 };
  const program = await GradientProgram.compile(engine, config, options);
  const gradients = new GradientSum(program, loops, memory, recipe, config);
  const compute = async () => ({
    ...(await gradients.compute(pictures, step)),
    sum: memory.gradients.stretches[0]!.slice(),
  });
  const first = await compute();
  expect(await compute(), "the same again").toEqual(first);
  await program.close();
  return first;
}

describe("the gradient of a batch in parts", () => {
  it.each([
    [1, 2],
    [1, 4],
    [1, 8],
    [2, 1],
    [4, 1],
    [2, 4],
  ])("%i at once, %i after each other, is that of the whole but for rounding", async (workers, parts) => {
    // Masks are of a picture's place in the step, so dropout changes nothing.
    for (const dropout of [0, 0.3]) {
      const whole = await gradient({ dropout });
      const split = await gradient({ dropout, workers, gradientAccumulation: parts });
      expect(whole.tokens).toBe(tokens);
      expect(split.tokens).toBe(tokens);
      expect(split.lossSum / whole.lossSum).toBeCloseTo(1, 5);
      expect(maxAbsolute(whole.sum)).toBeGreaterThan(1);
      expect(maxAbsoluteDifference(split.sum, whole.sum)).toBeLessThan(2e-5 * maxAbsolute(whole.sum));
    }
  });
});

it("dropout differs by step and seed", async () => {
  const losses = [
    await gradient({}),
    await gradient({ dropout: 0.3 }),
    await gradient({ dropout: 0.3, step: 6 }),
    await gradient({ dropout: 0.3, seed: 43 }),
    await gradient({ dropout: 0.3, seed: 42 + 2 ** 32 }),
  ].map(({ lossSum }) => lossSum);
  expect(new Set(losses).size).toBe(losses.length);
});
