import {
  add,
  addDimensions,
  concat,
  matMul,
  multiply,
  reshape,
  slice,
  softmax,
  swapLast,
  type Tensor,
  transpose,
} from "../graph/index.js";

/** Keys and values of one attention, [batch, heads, positions, headSize] each. */
export interface KeyValue {
  readonly key: Tensor;
  readonly value: Tensor;
}

/** [batch, length, heads·headSize] → [batch, heads, length, headSize] */
export function splitHeads(x: Tensor, heads: number): Tensor {
  const [batch, length, width] = x.shape as [Tensor["shape"][0], Tensor["shape"][0], number];
  return transpose(reshape(x, [batch!, length!, heads, width / heads]), [0, 2, 1, 3]);
}

/** [batch, heads, length, headSize] → [batch, length, heads·headSize] */
export function mergeHeads(x: Tensor): Tensor {
  const [batch, heads, length, headSize] = x.shape as [
    Tensor["shape"][0],
    number,
    Tensor["shape"][0],
    number,
  ];
  return reshape(transpose(x, [0, 2, 1, 3]), [batch!, length!, heads * headSize]);
}

/**
 * Scaled dot-product attention (Vaswani et al. 2017): softmax(q·kᵀ/√headSize + bias)·v.
 * @param query [batch, heads, queries, headSize]
 * @param key [batch, heads, keys, headSize]
 * @param value [batch, heads, keys, headSize]
 * @param bias added to the scores, such as 0 where a key may be seen and −10⁹ where not; broadcasts to
 * [batch, heads, queries, keys]
 */
export function attention(
  query: Tensor,
  key: Tensor,
  value: Tensor,
  bias?: Tensor,
): { output: Tensor; weights: Tensor } {
  const headSize = query.shape.at(-1) as number;
  const scores = matMul(multiply(query, headSize ** -0.5), swapLast(key));
  const weights = softmax(bias ? add(scores, bias) : scores);
  return { output: matMul(weights, value), weights };
}

/** Keys and values with others behind them. */
export function appended(before: KeyValue, next: KeyValue): KeyValue {
  return { key: concat([before.key, next.key], 2), value: concat([before.value, next.value], 2) };
}

/**
 * Attention over two sets of keys and values: those kept from before, which stay where they are, and new ones.
 * @param bias broadcasts to [batch, heads, queries, cached positions + own positions]
 */
export function cachedAttention(
  query: Tensor,
  cached: KeyValue,
  own: KeyValue,
  bias: Tensor,
): { output: Tensor; weights: Tensor } {
  const headSize = query.shape.at(-1) as number;
  const scaled = multiply(query, headSize ** -0.5);
  const scores = concat([matMul(scaled, swapLast(cached.key)), matMul(scaled, swapLast(own.key))], -1);
  const weights = softmax(add(scores, bias));
  const slots = cached.key.shape[2]!;
  const all = addDimensions(slots, own.key.shape[2]!);
  const output = add(
    matMul(slice(weights, -1, 0, slots), cached.value),
    matMul(slice(weights, -1, slots, all), own.value),
  );
  return { output, weights };
}
