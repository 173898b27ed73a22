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
 * share of them, in one pass over memory: p ← p − lr·(m̂ / (√v̂ + ε) + decay·p). Copies of the parameters in bf16 are written
 * in the same pass.
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
    const [scale, beta1, rest1, beta2, rest2] = numbers as readonly [number, number, number, number, number];
    const [epsilon, decay, rate, correctMean, correctSquare] = numbers.slice(5) as [
      number,
      number,
      number,
      number,
      number,
    ];
    for (let i = start; i < end; i++) {
      const g = gradients[i]! * scale;
      const m = beta1 * mean[i]! + rest1 * g;
      const v = beta2 * square[i]! + rest2 * g * g;
      mean[i] = m;
      square[i] = v;
      const update = (m * correctMean) / (Math.sqrt(v * correctSquare) + epsilon);
      parameters[i]! -= rate * (update + decay * parameters[i]!);
    }
    return 0;
  },
  wasm: "adamW",
  rounds: true,
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

/** Σ x², four sums at a time: one would wait for each addition. */
export const squaresLoop: Loop = {
  run: ([x], _, start, end) => {
    let [a, b, c, d] = [0, 0, 0, 0];
    const whole = end - ((end - start) % 4);
    for (let i = start; i < whole; i += 4) {
      a += x![i]! * x![i]!;
      b += x![i + 1]! * x![i + 1]!;
      c += x![i + 2]! * x![i + 2]!;
      d += x![i + 3]! * x![i + 3]!;
    }
    let rest = 0;
    for (let i = whole; i < end; i++) rest += x![i]! * x![i]!;
    return a + b + (c + d) + rest;
  },
  wasm: "squares",
};
