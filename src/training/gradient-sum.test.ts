import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { maxAbsolute, maxAbsoluteDifference } from "../../test/support/tiny-model.js";
import { type CompiledProgram, compileProgram } from "../engine/compile.js";
import type { Engine } from "../engine/engine.js";
import { createNativeEngine } from "../engine/native.js";
import type { CaptionerConfig } from "../model/config.js";
import { initializeParameters } from "../model/initialize.js";
import { randomNumbers } from "../model/random.js";
import { recipes } from "../recipes/index.js";
import { parameterShapes } from "../weights/parameter-shapes.js";
import type { CaptionedPicture } from "./batch.js";
import { GradientSum } from "./gradient-sum.js";
import { allocateFlat, type FlatTensors, fillFlat } from "./parameters.js";
import { resolveRecipe } from "./recipe.js";
import { trainProgram } from "./train-program.js";

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

let engine: Engine;
let program: CompiledProgram;
let parameters: FlatTensors;
beforeAll(async () => {
  engine = await createNativeEngine();
  program = await compileProgram(engine, trainProgram(config, 0.1));
  const shapes = parameterShapes(config);
  parameters = allocateFlat(shapes);
  fillFlat(parameters, initializeParameters(config, shapes, 1));
});
afterAll(() => engine.close());

async function gradient(workers: number, gradientAccumulation: number) {
  const recipe = resolveRecipe(recipes.scenes, [
    "batchSize=8",
    `workers=${workers}`,
    `gradientAccumulation=${gradientAccumulation}`,
  ]);
  const gradients = new GradientSum(program, parameters, recipe, config);
  const compute = async () => ({ ...(await gradients.compute(pictures)), sum: gradients.sum.slice() });
  const first = await compute();
  expect(await compute(), "the same again").toEqual(first);
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
    const whole = await gradient(1, 1);
    const split = await gradient(workers, parts);
    expect(whole.tokens).toBe(tokens);
    expect(split.tokens).toBe(tokens);
    expect(split.lossSum / whole.lossSum).toBeCloseTo(1, 5);
    expect(maxAbsolute(whole.sum)).toBeGreaterThan(1);
    expect(maxAbsoluteDifference(split.sum, whole.sum)).toBeLessThan(2e-5 * maxAbsolute(whole.sum));
  });
});
