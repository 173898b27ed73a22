import {
  type FloatWeight,
  type InputSample,
  type Int8Scales,
  inputPeaks,
  int8Error,
  outputScales,
} from "./int8.js";

export interface Int8Choice {
  readonly scales: Int8Scales;
  /** Relative error of the products on the sample; see `int8Error`. */
  readonly error: number;
}

/** How much of the inputs' unevenness moves into the weights; 0 leaves all of it where it is. */
const EXPONENTS = [0, 0.35, 0.5, 0.65, 0.8];

/**
 * How each of some weights that are multiplied with the same input is rounded best. They share their smoothing, the one
 * with the smallest measured error.
 */
export function chooseInt8(weights: readonly FloatWeight[], x: InputSample): Int8Choice[] {
  const { inputs } = weights[0]!;
  const activations = inputPeaks({ data: x.data, outputs: x.rows, inputs });
  const peaks = weights.map(inputPeaks).reduce((a, b) => a.map((peak, i) => Math.max(peak, b[i]!)));
  const choices = EXPONENTS.map((exponent) => {
    const smoothing = smoothingFor(activations, peaks, exponent);
    return weights.map((weight): Int8Choice => {
      const scales = { smoothing, scale: outputScales(weight, smoothing) };
      return { scales, error: int8Error(x, weight, scales) };
    });
  });
  const total = (all: readonly Int8Choice[]): number => all.reduce((sum, { error }) => sum + error ** 2, 0);
  return choices.reduce((best, all) => (total(all) < total(best) ? all : best));
}

/** weights^(1 − e) / activations^e, so that both become more even; 1 where either never was other than zero. */
function smoothingFor(activations: Float32Array, weights: Float32Array, exponent: number): Float32Array {
  return activations.map((activation, i) => {
    if (exponent === 0 || activation === 0 || weights[i] === 0) return 1;
    return weights[i]! ** (1 - exponent) / activation ** exponent;
  });
}
