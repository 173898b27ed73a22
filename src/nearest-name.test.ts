import { expect, it } from "vitest";
import { didYouMean } from "./nearest-name.js";

const names = ["steps", "batchSize", "learningRate", "warmupSteps", "seed", "beta1", "beta2"];

it.each([
  ["step", "steps"],
  ["setps", "steps"],
  ["batchsize", "batchSize"],
  ["batch_size", "batchSize"],
  ["learning-rate", "learningRate"],
  ["warmupStep", "warmupSteps"],
  ["sede", "seed"],
])("%s is nearly %s", (name, nearest) => {
  expect(didYouMean(name, names)).toBe(` Did you mean "${nearest}"?`);
});

it("suggests nothing that is another name", () => {
  expect(didYouMean("optimizer", names)).toBe("");
  expect(didYouMean("x", names)).toBe("");
  expect(didYouMean("steps", [])).toBe("");
});
