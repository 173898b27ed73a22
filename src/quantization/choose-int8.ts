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

/** The smoothing with the smallest measured error. */
export function chooseInt8(weight: FloatWeight, x: InputSample): Int8Choice {
  const weights = inputPeaks(weight);
  const activations = inputPeaks({ data: x.data, outputs: x.rows, inputs: weight.inputs });
  const choices = EXPONENTS.map((exponent): Int8Choice => {
    const smoothing = smoothingFor(activations, weights, exponent);
    const scales = { smoothing, scale: outputScales(weight, smoothing) };
    return { scales, error: int8Error(x, weight, scales) };
  });
  return choices.reduce((best, choice) => (choice.error < best.error ? choice : best));
}

/** weights^(1 − e) / activations^e, so that both become more even; 1 where either never was other than zero. */
function smoothingFor(activations: Float32Array, weights: Float32Array, exponent: number): Float32Array {
  return activations.map((activation, i) => {
    if (exponent === 0 || activation === 0 || weights[i] === 0) return 1;
    return weights[i]! ** (1 - exponent) / activation ** exponent;
  });
}
