export interface AdamWOptions {
  /** Decay of the mean of the gradients. */
  readonly beta1: number;
  /** Decay of the mean of their squares. */
  readonly beta2: number;
  readonly epsilon: number;
  /** Decoupled decay, of every parameter. */
  readonly weightDecay: number;
}

/** What AdamW remembers between steps. */
export interface AdamWState {
  /** Steps done. */
  step: number;
  readonly mean: Float32Array;
  readonly square: Float32Array;
}

export function createAdamWState(parameterCount: number): AdamWState {
  return { step: 0, mean: new Float32Array(parameterCount), square: new Float32Array(parameterCount) };
}

/**
 * One step of AdamW (Loshchilov & Hutter 2019, arXiv 1711.05101), in place over all parameters at once:
 * p ← p − lr·(m̂ / (√v̂ + ε) + decay·p).
 * @param scale what the gradients are multiplied by first: one over the tokens summed, and the clipping factor
 */
export function adamWStep(
  parameters: Float32Array,
  gradients: Float32Array,
  state: AdamWState,
  { beta1, beta2, epsilon, weightDecay }: AdamWOptions,
  learningRate: number,
  scale = 1,
): void {
  state.step += 1;
  const { mean, square } = state;
  const correctMean = 1 / (1 - beta1 ** state.step);
  const correctSquare = 1 / (1 - beta2 ** state.step);
  for (let i = 0; i < parameters.length; i++) {
    const gradient = gradients[i]! * scale;
    const m = beta1 * mean[i]! + (1 - beta1) * gradient;
    const v = beta2 * square[i]! + (1 - beta2) * gradient * gradient;
    mean[i] = m;
    square[i] = v;
    const update = (m * correctMean) / (Math.sqrt(v * correctSquare) + epsilon);
    parameters[i]! -= learningRate * (update + weightDecay * parameters[i]!);
  }
}

/** √Σ g², in double precision. */
export function globalNorm(gradients: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < gradients.length; i++) sum += gradients[i]! * gradients[i]!;
  return Math.sqrt(sum);
}
