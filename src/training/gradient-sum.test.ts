import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { maxAbsolute, maxAbsoluteDifference } from "../../test/support/tiny-model.js";
import { config, pictures } from "../../test/support/tiny-pictures.js";
import type { Engine } from "../engine/engine.js";
import { createNativeEngine } from "../engine/native.js";
import { initializeParameters } from "../model/initialize.js";
import { recipes } from "../recipes/index.js";
import { parameterShapes } from "../weights/parameter-shapes.js";
import { GradientProgram } from "./gradient-program.js";
import { GradientSum } from "./gradient-sum.js";
import { allocateTraining, fillTensor, type TrainingMemory } from "./parameters.js";
import { resolveRecipe } from "./recipe.js";
import { SharedLoops } from "./shared-loops.js";

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
