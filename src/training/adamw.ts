import { type Collective, sumOverRanks } from "./collective/collective.js";
import { oneProcess } from "./collective/one-process.js";
import type { Stretches, TrainingMemory } from "./parameters.js";
import type { Loop, SharedLoops } from "./shared-loops.js";

export interface AdamWOptions {
  /** Decay of the mean of the gradients. */
  readonly beta1: number;
  /** Decay of the mean of their squares. */
  readonly beta2: number;
  readonly epsilon: number;
  /** Decoupled decay, of every parameter. */
  readonly weightDecay: number;
}

/**
 * One step of AdamW (Loshchilov & Hutter 2019, arXiv 1711.05101), in place over all parameters at once, or over a rank's
 * share of them, in one pass over memory and in single precision: p ← p − lr·(m̂ / (√v̂ + ε) + decay·p). Copies of the
 * parameters in bf16 are written in the same pass.
 * @param step 1 for the first
 * @param scale what the gradients are multiplied by first: one over the tokens summed, and the clipping factor
 */
export async function adamWStep(
  loops: SharedLoops,
  { parameters, gradients, mean, square }: Readonly<Record<keyof TrainingMemory, Stretches>>,
  step: number,
  { beta1, beta2, epsilon, weightDecay }: AdamWOptions,
  learningRate: number,
  scale = 1,
): Promise<void> {
  const correctMean = 1 / (1 - beta1 ** step);
  const correctSquare = 1 / (1 - beta2 ** step);
  const numbers = [
    scale,
    beta1,
    1 - beta1,
    beta2,
    1 - beta2,
    epsilon,
    weightDecay,
    learningRate,
    correctMean,
    correctSquare,
  ];
  await loops.run(adamWLoop, [parameters, gradients, mean, square], numbers);
}

type Four<T> = readonly [T, T, T, T];

export const adamWLoop: Loop = {
  run: (arrays, numbers, start, end) => {
    const [parameters, gradients, mean, square] = arrays as Four<Float32Array>;
    const [scale, beta1, rest1, beta2, rest2, epsilon, decay, rate, correctMean, correctSquare] = numbers.map(
      Math.fround,
    ) as [number, number, number, number, number, number, number, number, number, number];
    const f = Math.fround;
    for (let i = start; i < end; i++) {
      const g = f(gradients[i]! * scale);
      const m = f(f(beta1 * mean[i]!) + f(rest1 * g));
      const v = f(f(beta2 * square[i]!) + f(f(rest2 * g) * g));
      mean[i] = m;
      square[i] = v;
      const update = f(f(m * correctMean) / f(f(Math.sqrt(f(v * correctSquare))) + epsilon));
      const p = parameters[i]!;
      parameters[i] = p - f(rate * f(update + f(decay * p)));
    }
    return 0;
  },
  wasm: "adamW",
  wasmRounded: "adamWRounded",
};

/** √Σ g² over the shares of all ranks, in double precision; not finite where a gradient is not. */
export async function globalNorm(
  loops: SharedLoops,
  gradients: Stretches,
  collective: Collective = oneProcess,
): Promise<number> {
  const [squares] = await sumOverRanks(collective, [await loops.run(squaresLoop, [gradients])]);
  return Math.sqrt(squares!);
}

/** Σ x², in an order that suits vectors: two sums for each quarter of what is a multiple of 32 numbers. */
export const squaresLoop: Loop = {
  run: ([x], _, start, end) => {
    const whole = end - ((end - start) % 32);
    const quarter = (whole - start) / 4;
    const [even, odd] = [0, 1].map((parity) =>
      [0, 1, 2, 3]
        .map((i) => {
          let sum = 0;
          for (let j = start + i * quarter + parity; j < start + (i + 1) * quarter; j += 2)
            sum += x![j]! * x![j]!;
          return sum;
        })
        .reduce((a, b) => a + b),
    ) as [number, number];
    let rest = 0;
    for (let i = whole; i < end; i++) rest += x![i]! * x![i]!;
    return even + odd + rest;
  },
  wasm: "squares",
};
