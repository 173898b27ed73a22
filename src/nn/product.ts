import {
  add,
  cast,
  concat,
  elementCount,
  gather,
  gatherColumns,
  gemm,
  int8Product,
  matMul,
  multiply,
  reshape,
  slice,
  swapLast,
  type Tensor,
  transpose,
} from "../graph/index.js";
import type { ParameterScope } from "./parameters.js";

/*
 * Every product with a weight goes through here, so that a model may keep any of its weights in int8: then `name` is
 * int8 [in, out], `name_scale` [out] is what a step of each output is worth, and `name_smoothing` [in] is what inputs
 * are multiplied by first (Xiao et al. 2022, SmoothQuant, arXiv 2211.10438): W[o, i] = int8[i, o] · scale[o] ·
 * smoothing[i].
 */

/** x·Wᵀ + bias over the last axis: [..., in] → [..., out]. The weight is [out, in] where it is float32. */
export function product(
  scope: ParameterScope,
  name: string,
  x: Tensor,
  outFeatures: number,
  bias: Tensor,
): Tensor {
  const inFeatures = x.shape.at(-1) as number;
  scope.noteInput(name, x);
  if (scope.isInt8(name)) {
    const { weight, scale } = int8Weight(scope, name, [outFeatures, inFeatures]);
    return add(int8Product(scope.smoothed(name, x), weight, scale), bias);
  }
  const rows = x.shape.slice(0, -1);
  const matrix = reshape(x, [elementCount(rows), inFeatures]);
  const weight = scope.get(name, [outFeatures, inFeatures]);
  return reshape(gemm(matrix, weight, bias, { transposeB: true }), [...rows, outFeatures]);
}

/** The same with several weights. Those in int8 are put side by side: one large product is faster than some small. */
export function products(
  scope: ParameterScope,
  layers: readonly { readonly name: string; readonly bias: Tensor }[],
  x: Tensor,
  outFeatures: number,
): Tensor[] {
  if (!layers.every(({ name }) => scope.isInt8(name)))
    return layers.map(({ name, bias }) => product(scope, name, x, outFeatures, bias));
  const inFeatures = x.shape.at(-1) as number;
  const weights = layers.map(({ name }) => int8Weight(scope, name, [outFeatures, inFeatures]));
  const weight = concat(
    weights.map((one) => one.weight),
    1,
  );
  const scale = concat(
    weights.map((one) => one.scale),
    0,
  );
  const bias = concat(
    layers.map((one) => one.bias),
    0,
  );
  const all = add(int8Product(scope.smoothed(layers[0]!.name, x), weight, scale), bias);
  return layers.map((_, i) => slice(all, -1, i * outFeatures, (i + 1) * outFeatures));
}

/**
 * The same product, for a few rows and a weight that is needed elsewhere, too: as (W·xᵀ)ᵀ it is read from where it
 * lies. The other way round ONNX Runtime would rearrange it first, at every run or in a second copy.
 */
export function productOfFew(
  scope: ParameterScope,
  name: string,
  x: Tensor,
  outFeatures: number,
  bias: Tensor,
): Tensor {
  if (scope.isInt8(name)) return product(scope, name, x, outFeatures, bias);
  const weight = scope.get(name, [outFeatures, x.shape[1] as number]);
  return add(swapLast(matMul(weight, swapLast(x))), bias);
}

/**
 * The same product as consecutive blocks of its outputs, for results that are reduced at once: what is done to a block
 * finds it in the processor's cache.
 * @param size outputs of a block; the last has half as many more or less
 */
export function productInBlocks(
  scope: ParameterScope,
  name: string,
  x: Tensor,
  bias: Tensor,
  size: number,
): Tensor[] {
  const [outFeatures, inFeatures] = [bias.shape[0] as number, x.shape[1] as number];
  scope.noteInput(name, x);
  const count = Math.max(1, Math.round(outFeatures / size));
  const blocks = Array.from({ length: count }, (_, i) => {
    return [i * size, i + 1 < count ? (i + 1) * size : outFeatures] as const;
  });
  if (scope.isInt8(name)) {
    const { weight, scale } = int8Weight(scope, name, [outFeatures, inFeatures]);
    const smoothed = scope.smoothed(name, x);
    return blocks.map(([start, end]) =>
      add(
        int8Product(smoothed, slice(weight, 1, start, end), slice(scale, 0, start, end)),
        slice(bias, 0, start, end),
      ),
    );
  }
  const weight = scope.get(name, [outFeatures, inFeatures]);
  return blocks.map(([start, end]) =>
    gemm(x, slice(weight, 0, start, end), slice(bias, 0, start, end), { transposeB: true }),
  );
}

/** Rows of the weight [rows, width]: ids [a, b] → [a, b, width]. */
export function lookUp(
  scope: ParameterScope,
  name: string,
  shape: readonly [rows: number, width: number],
  ids: Tensor,
): Tensor {
  if (!scope.isInt8(name)) return gather(scope.get(name, shape), ids);
  const { weight, scale } = int8Weight(scope, name, shape);
  const smoothing = scope.get(`${name}_smoothing`, [shape[1]]);
  const steps = cast(transpose(gatherColumns(weight, ids), [1, 2, 0]), "float32");
  const worth = reshape(gather(scale, ids), [...ids.shape, 1]);
  return multiply(multiply(steps, worth), smoothing);
}

function int8Weight(scope: ParameterScope, name: string, [outputs, inputs]: readonly [number, number]) {
  return {
    weight: scope.getInt8(name, [inputs, outputs]),
    scale: scope.get(`${name}_scale`, [outputs]),
  };
}
