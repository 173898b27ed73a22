import { afterAll, beforeAll, expect, it } from "vitest";
import { compileProgram } from "../engine/compile.js";
import type { Engine, HostTensor } from "../engine/engine.js";
import { createNativeEngine } from "../engine/native.js";
import { input, parameter } from "../graph/index.js";
import { randomNumbers } from "../model/random.js";
import { headLoss, vocabularyBlocks } from "./head-loss.js";

/** Three blocks, the last of them short. */
const VOCABULARY = 2 * 8192 + 300;
const TOKENS = 5;
const WIDTH = 3;

let engine: Engine;
beforeAll(async () => {
  engine = await createNativeEngine();
});
afterAll(() => engine.close());

const random = randomNumbers(1);
const numbers = (count: number, size: number) =>
  Float32Array.from({ length: count }, () => size * (2 * random() - 1));
const hidden = numbers(TOKENS * WIDTH, 2);
const matrix = numbers(VOCABULARY * WIDTH, 3);
const bias = numbers(VOCABULARY, 1);
// One token is sure of its label, so that another block's scores are far below.
matrix.set([60, 60, 60], 8200 * WIDTH);
hidden.set([1, 1, 1], WIDTH);
const labels = [0, 8200, 8191, 8192, VOCABULARY - 1];

/** Loss and gradients in double precision, all scores at once. */
function plain(smoothing: number) {
  const losses = new Float64Array(TOKENS);
  const gradients = {
    hidden: new Float64Array(TOKENS * WIDTH),
    matrix: new Float64Array(VOCABULARY * WIDTH),
    bias: new Float64Array(VOCABULARY),
  };
  const rest = smoothing / (VOCABULARY - 1);
  for (let t = 0; t < TOKENS; t++) {
    const scores = Array.from({ length: VOCABULARY }, (_, v) => {
      let score = bias[v]!;
      for (let i = 0; i < WIDTH; i++) score += hidden[t * WIDTH + i]! * matrix[v * WIDTH + i]!;
      return score;
    });
    const highest = scores.reduce((a, b) => Math.max(a, b));
    const normalizer = highest + Math.log(scores.reduce((sum, score) => sum + Math.exp(score - highest), 0));
    scores.forEach((score, v) => {
      const target = v === labels[t] ? 1 - smoothing : rest;
      if (target > 0) losses[t]! += target * (normalizer - score + Math.log(target));
      const g = Math.exp(score - normalizer) - target;
      gradients.bias[v]! += g;
      for (let i = 0; i < WIDTH; i++) {
        gradients.hidden[t * WIDTH + i]! += g * matrix[v * WIDTH + i]!;
        gradients.matrix[v * WIDTH + i]! += g * hidden[t * WIDTH + i]!;
      }
    });
  }
  return { losses, ...gradients };
}

it.each([
  [0, false],
  [0, true],
  [0.1, false],
  [0.1, true],
])(
  "with smoothing %f, scores computed again: %s, is the plain loss and gradient",
  async (smoothing, recompute) => {
    const blocks = vocabularyBlocks("matrix", VOCABULARY).map((block) => ({
      ...block,
      matrix: parameter(block.name, [block.end - block.start, WIDTH]),
    }));
    expect(blocks).toHaveLength(3);
    const head = headLoss({
      hidden: input("hidden", "float32", ["tokens", WIDTH]),
      labelRows: input("labelRows", "float32", ["tokens", WIDTH]),
      labels: input("labels", "int64", ["tokens"]),
      bias: parameter("bias", [VOCABULARY]),
      blocks,
      labelSmoothing: smoothing,
      recompute,
    });
    const outputs = Object.fromEntries(head.blocks.map((block, i) => [`block${i}`, block]));
    const program = await compileProgram(engine, {
      outputs: { losses: head.losses, dHidden: head.hidden, dBias: head.bias, ...outputs },
    });
    const tensor = (shape: number[], data: Float32Array): HostTensor => ({ dtype: "float32", shape, data });
    const results = await program.run({
      hidden: tensor([TOKENS, WIDTH], hidden),
      labelRows: tensor(
        [TOKENS, WIDTH],
        Float32Array.from(
          labels.flatMap((label) => [...matrix.subarray(label * WIDTH, (label + 1) * WIDTH)]),
        ),
      ),
      labels: { dtype: "int64", shape: [TOKENS], data: BigInt64Array.from(labels.map(BigInt)) },
      bias: tensor([VOCABULARY], bias),
      ...Object.fromEntries(
        blocks.map(({ name, start, end }) => [
          name,
          tensor([end - start, WIDTH], matrix.subarray(start * WIDTH, end * WIDTH)),
        ]),
      ),
    });
    await program.close();

    const matrixGradient = Float64Array.from(
      blocks.flatMap((_, i) => [...(results[`block${i}`]!.data as Float32Array)]),
    );
    const biasGradient = Float64Array.from(results.dBias!.data as Float32Array);
    labels.forEach((label, t) => {
      biasGradient[label]! -= head.labelShare;
      for (let i = 0; i < WIDTH; i++)
        matrixGradient[label * WIDTH + i]! -= head.labelShare * hidden[t * WIDTH + i]!;
    });
    const expected = plain(smoothing);
    const farthest = (a: ArrayLike<number>, b: Float64Array) =>
      b.reduce((most, value, i) => Math.max(most, Math.abs(a[i]! - value)), 0);
    expect(farthest(results.losses!.data as Float32Array, expected.losses)).toBeLessThan(1e-4);
    expect(farthest(results.dHidden!.data as Float32Array, expected.hidden)).toBeLessThan(1e-4);
    expect(farthest(matrixGradient, expected.matrix)).toBeLessThan(1e-5);
    expect(farthest(biasGradient, expected.bias)).toBeLessThan(1e-5);
  },
);
