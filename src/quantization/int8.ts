/**
 * Weights in int8: W[o, i] ≈ int8[i, o] · scale[o] · smoothing[i]. Every output has a scale of its own; the smoothing
 * moves what is hard to round from the inputs into the weights (Xiao et al. 2022, SmoothQuant, arXiv 2211.10438).
 */

/** A weight [outputs, inputs], row-major. */
export interface FloatWeight {
  readonly data: Float32Array;
  readonly outputs: number;
  readonly inputs: number;
}

/** How a weight is rounded. */
export interface Int8Scales {
  /** [outputs]: what a step is worth. */
  readonly scale: Float32Array;
  /** [inputs]: what inputs are multiplied by before they are rounded. */
  readonly smoothing: Float32Array;
}

/** Steps on either side of zero. −128 is not used, so that negating is exact. */
export const STEPS = 127;

/** Per input, the largest magnitude among the weights that it is multiplied with. */
export function inputPeaks({ data, outputs, inputs }: FloatWeight): Float32Array {
  const peaks = new Float32Array(inputs);
  for (let o = 0, at = 0; o < outputs; o++)
    for (let i = 0; i < inputs; i++, at++) {
      const size = Math.abs(data[at]!);
      if (size > peaks[i]!) peaks[i] = size;
    }
  return peaks;
}

/** Per output, the step with which its largest smoothed weight just fits. */
export function outputScales({ data, outputs, inputs }: FloatWeight, smoothing: Float32Array): Float32Array {
  const inverse = smoothing.map((factor) => 1 / factor);
  const scale = new Float32Array(outputs);
  for (let o = 0, at = 0; o < outputs; o++) {
    let peak = 0;
    for (let i = 0; i < inputs; i++, at++) peak = Math.max(peak, Math.abs(data[at]! * inverse[i]!));
    // Weights that are all zero may have any step.
    scale[o] = peak > 0 ? peak / STEPS : 1;
  }
  return scale;
}

/** Outputs that are turned around together, so that both sides are read and written by cache lines. */
const TILE = 64;

/** The steps [inputs, outputs], the other way round than the weight: so the processors' int8 products want them. */
export function toInt8({ data, outputs, inputs }: FloatWeight, { scale, smoothing }: Int8Scales): Int8Array {
  const inverseSmoothing = smoothing.map((factor) => 1 / factor);
  const inverseScale = scale.map((step) => 1 / step);
  const steps = new Int8Array(inputs * outputs);
  for (let first = 0; first < outputs; first += TILE) {
    const end = Math.min(first + TILE, outputs);
    for (let i = 0; i < inputs; i++) {
      const factor = inverseSmoothing[i]!;
      for (let o = first; o < end; o++) {
        const value = roundToEven(data[o * inputs + i]! * factor * inverseScale[o]!);
        steps[i * outputs + o] = Math.max(-STEPS, Math.min(STEPS, value));
      }
    }
  }
  return steps;
}

/** The weight [outputs, inputs] that the steps stand for. */
export function fromInt8(steps: Int8Array, { scale, smoothing }: Int8Scales): Float32Array {
  const [outputs, inputs] = [scale.length, smoothing.length];
  const data = new Float32Array(outputs * inputs);
  for (let first = 0; first < outputs; first += TILE) {
    const end = Math.min(first + TILE, outputs);
    for (let i = 0; i < inputs; i++)
      for (let o = first; o < end; o++)
        data[o * inputs + i] = steps[i * outputs + o]! * scale[o]! * smoothing[i]!;
  }
  return data;
}

/** 1.5·2²³: added to a float32 of moderate size and taken off again, it rounds to the nearest whole number, ties to even. */
const ROUNDER = 12582912;

/** As ONNX Runtime rounds. */
function roundToEven(value: number): number {
  return Math.fround(Math.fround(value) + ROUNDER) - ROUNDER;
}

/** Inputs [rows, inputs] with which a weight was multiplied. */
export interface InputSample {
  readonly data: Float32Array;
  readonly rows: number;
}

/** Rows and outputs on which an error is measured. */
const SAMPLED_ROWS = 48;
const SAMPLED_OUTPUTS = 128;

/**
 * How far x·Wᵀ in int8 is from float32: the root of the summed squared differences over that of the squared results,
 * on rows and outputs spread evenly.
 */
export function int8Error(x: InputSample, weight: FloatWeight, { scale, smoothing }: Int8Scales): number {
  const { inputs, outputs } = weight;
  const rows = spread(x.rows, SAMPLED_ROWS).map((row) => {
    const values = x.data.subarray(row * inputs, (row + 1) * inputs);
    const smoothed = values.map((value, i) => value * smoothing[i]!);
    const step =
      Math.max(
        1e-30,
        smoothed.reduce((peak, value) => Math.max(peak, Math.abs(value)), 0),
      ) / STEPS;
    return { values, steps: smoothed.map((value) => roundToEven(value / step)), step };
  });
  let difference = 0;
  let total = 0;
  for (const o of spread(outputs, SAMPLED_OUTPUTS)) {
    const own = weight.data.subarray(o * inputs, (o + 1) * inputs);
    const steps = own.map((value, i) => {
      return Math.max(-STEPS, Math.min(STEPS, roundToEven(value / smoothing[i]! / scale[o]!)));
    });
    for (const row of rows) {
      let exact = 0;
      let rounded = 0;
      for (let i = 0; i < inputs; i++) {
        exact += row.values[i]! * own[i]!;
        rounded += row.steps[i]! * steps[i]!;
      }
      difference += (exact - rounded * row.step * scale[o]!) ** 2;
      total += exact ** 2;
    }
  }
  return total > 0 ? Math.sqrt(difference / total) : Math.sqrt(difference);
}

/** At most `most` of the numbers below `count`, evenly. */
function spread(count: number, most: number): number[] {
  const wanted = Math.min(count, most);
  return Array.from({ length: wanted }, (_, i) => Math.floor((i * count) / wanted));
}
