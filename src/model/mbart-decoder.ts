import {
  add,
  constantInt,
  type Dimension,
  gather,
  gelu,
  lessOrEqual,
  multiply,
  multiplyDimensions,
  reshape,
  type Tensor,
  where,
} from "../graph/index.js";
import {
  appended,
  attention,
  cachedAttention,
  type KeyValue,
  mergeHeads,
  splitHeads,
} from "../nn/attention.js";
import { layerNorm } from "../nn/layer-norm.js";
import { linear, linears } from "../nn/linear.js";
import type { ParameterScope } from "../nn/parameters.js";
import { lookUp, product, productOfFew } from "../nn/product.js";
import type { DecoderConfig } from "./config.js";

/**
 * The text half: the decoder of mBART, "Multilingual Denoising Pre-training for Neural Machine Translation",
 * Liu et al. 2020 (arXiv 2001.08210), as mBART-50 (Tang et al. 2020, arXiv 2008.00401) uses it: a pre-norm
 * Transformer with learned positions, a norm after the embeddings and another after the last layer.
 *
 * Captions of one picture stand together: row r of `pictures·captions` describes picture ⌊r / captions⌋, so that
 * the keys and values of a picture are computed and read once, whatever the number of its languages and beams.
 */

type AttentionSizes = Pick<DecoderConfig, "hiddenSize" | "heads">;

export interface DecoderInputs {
  /** [pictures, captions, length] int64 */
  readonly ids: Tensor;
  /** [length] int64: where in its caption each of the ids stands, from 0. */
  readonly positions: Tensor;
  /** Of every layer, [pictures, heads, picture positions, headSize]; from `crossKeyValues`. */
  readonly cross: readonly KeyValue[];
  /** [pictures, 1, 1, positions]: 0 where a position may be seen, else −10⁹. Default: all may be. */
  readonly crossBias?: Tensor;
  /** The tokens before `ids`. Default: there are none, and each of `ids` sees those up to itself. */
  readonly cache?: DecoderCache;
  /** The same tokens for one whose cache is a row of all tokens so far. Not with `cache`. */
  readonly past?: DecoderPast;
  /** [pictures, captions, length] bool: which ids may be seen by later ones. Default: all. Not with the above. */
  readonly attentionMask?: Tensor;
  /** In training: what is done to hidden states after the embedding and after every sublayer. Default: nothing. */
  readonly dropout?: (x: Tensor) => Tensor;
}

/** Tokens whose keys and values are known, in slots of any order: `bias` says whose past each of them is. */
export interface DecoderCache {
  /** Of every layer, [pictures·captions, heads, slots, headSize]. */
  readonly pairs: readonly KeyValue[];
  /** [pictures·captions, length, slots + length]: 0 where an id sees a slot or an id, else −10⁹. */
  readonly bias: Tensor;
}

/** The tokens before `ids` in their order, all of which each of `ids` sees. */
export interface DecoderPast {
  /** Of every layer, [pictures·captions, heads, past, headSize]. */
  readonly pairs: readonly KeyValue[];
  /** [past + length] int64: 0, 1, 2, … */
  readonly positions: Tensor;
}

export interface DecoderOutputs {
  /** The embedding's rows of `ids`, [pictures·captions, length, hidden]. */
  readonly tokens: Tensor;
  /** After `layernorm_embedding`, after every layer but the last, and after the final norm: layers + 1 tensors. */
  readonly hiddenStates: readonly Tensor[];
  /** [pictures·captions, length, hidden] */
  readonly lastHiddenState: Tensor;
  /** Of every layer, [pictures·captions, heads, length, slots + length]. */
  readonly selfAttentions: readonly Tensor[];
  /** Of every layer, [pictures, heads, captions·length, picture positions]. */
  readonly crossAttentions: readonly Tensor[];
  /** Of every layer, the keys and values of `past` and `ids`, [pictures·captions, heads, past + length, headSize]. */
  readonly own: readonly KeyValue[];
}

/** The decoder's keys and values of a picture, which no step changes. `projected` is [pictures, positions, hidden]. */
export function crossKeyValues(
  scope: ParameterScope,
  config: AttentionSizes & Pick<DecoderConfig, "layers">,
  projected: Tensor,
): KeyValue[] {
  return Array.from({ length: config.layers }, (_, layer) => {
    return keyValue(scope.at(`layers.${layer}.encoder_attn`), config, projected);
  });
}

/** @param root the scope of `EMBEDDING`, which is shared with the head */
export function mbartDecoder(
  root: ParameterScope,
  config: DecoderConfig,
  { ids, positions, cross, crossBias, cache, past, attentionMask, dropout = (x) => x }: DecoderInputs,
): DecoderOutputs {
  const [pictures, captions, length] = ids.shape as [Dimension, Dimension, Dimension];
  const rows = multiplyDimensions(pictures, captions);
  const bias = cache
    ? reshape(cache.bias, [rows, 1, ...cache.bias.shape.slice(1)])
    : causalBias(positions, past?.positions ?? positions, attentionMask);

  const scope = root.at("model.decoder");
  const tokens = lookUp(
    root,
    EMBEDDING,
    [config.vocabularySize, config.hiddenSize],
    reshape(ids, [rows, length]),
  );
  let x = dropout(embed(scope, config, tokens, positions));
  const hiddenStates = [x];
  const selfAttentions: Tensor[] = [];
  const crossAttentions: Tensor[] = [];
  const own: KeyValue[] = [];

  for (let layer = 0; layer < config.layers; layer++) {
    const block = scope.at(`layers.${layer}`);

    const self = selfAttention(
      block.at("self_attn"),
      config,
      norm(block.at("self_attn_layer_norm"), config, x),
      bias,
      { cached: cache?.pairs[layer], past: past?.pairs[layer] },
    );
    x = add(x, dropout(self.output));

    const seen = crossAttention(
      block.at("encoder_attn"),
      config,
      norm(block.at("encoder_attn_layer_norm"), config, x),
      cross[layer]!,
      multiplyDimensions(captions, length),
      crossBias,
    );
    x = add(x, dropout(seen.output));

    const hidden = gelu(
      linear(block.at("fc1"), norm(block.at("final_layer_norm"), config, x), config.ffnDim),
    );
    x = add(x, dropout(linear(block.at("fc2"), hidden, config.hiddenSize)));

    own.push(self.own);
    selfAttentions.push(self.weights);
    crossAttentions.push(seen.weights);
    if (layer + 1 < config.layers) hiddenStates.push(x);
  }
  const lastHiddenState = norm(scope.at("layer_norm"), config, x);
  return {
    tokens,
    hiddenStates: [...hiddenStates, lastHiddenState],
    lastHiddenState,
    selfAttentions,
    crossAttentions,
    own,
  };
}

/**
 * Scores of every token of the vocabulary, [rows, vocabulary]: the head is tied to the embedding.
 * @param few whether there are a few rows only, as in a step of a search
 */
export function languageModelHead(
  root: ParameterScope,
  { vocabularySize }: Pick<DecoderConfig, "vocabularySize">,
  hiddenStates: Tensor,
  few = false,
): Tensor {
  const bias = reshape(root.get(HEAD_BIAS, [1, vocabularySize]), [vocabularySize]);
  return (few ? productOfFew : product)(root, EMBEDDING, hiddenStates, vocabularySize, bias);
}

/** [vocabulary, hidden] */
export const EMBEDDING = "model.shared.weight";

/** [1, vocabulary] */
export const HEAD_BIAS = "final_logits_bias";

/** mBART's position table starts two rows late, a habit of fairseq, where padding had positions too. */
const POSITION_OFFSET = 2;

/** @param tokens [rows, length, hidden], as the embedding has them */
function embed(scope: ParameterScope, config: DecoderConfig, tokens: Tensor, positions: Tensor): Tensor {
  const { hiddenSize, maxPositions, scaleEmbedding } = config;
  const table = scope.get("embed_positions.weight", [maxPositions + POSITION_OFFSET, hiddenSize]);
  const scaled = multiply(tokens, scaleEmbedding ? Math.sqrt(hiddenSize) : 1);
  const x = add(scaled, gather(table, add(positions, constantInt(POSITION_OFFSET))));
  return norm(scope.at("layernorm_embedding"), config, x);
}

/**
 * What is added to a score: 0 where the key stands at or before the query and is not masked, else −10⁹.
 * @param positions of the queries
 */
export function causalBias(positions: Tensor, keyPositions: Tensor, attentionMask?: Tensor): Tensor {
  const length = positions.shape[0]!;
  const keys = reshape(keyPositions, [1, keyPositions.shape[0]!]);
  const queries = reshape(positions, [length, 1]);
  const causal = where(lessOrEqual(keys, queries), 0, -1e9);
  if (!attentionMask) return causal;
  const [pictures, captions] = attentionMask.shape;
  const mask = reshape(attentionMask, [multiplyDimensions(pictures!, captions!), 1, 1, length]);
  return add(causal, where(mask, 0, -1e9));
}

export function selfAttention(
  scope: ParameterScope,
  config: AttentionSizes,
  x: Tensor,
  bias: Tensor,
  { cached, past }: { readonly cached?: KeyValue | undefined; readonly past?: KeyValue | undefined } = {},
): { output: Tensor; weights: Tensor; own: KeyValue } {
  const { hiddenSize, heads } = config;
  const [query, key, value] = linears(scope, ["q_proj", "k_proj", "v_proj"], x, hiddenSize).map((one) =>
    splitHeads(one, heads),
  ) as [Tensor, Tensor, Tensor];
  const next = { key, value };
  const own = past ? appended(past, next) : next;
  const { output, weights } = cached
    ? cachedAttention(query, cached, own, bias)
    : attention(query, own.key, own.value, bias);
  return { output: linear(scope.at("out_proj"), mergeHeads(output), hiddenSize), weights, own };
}

/** All queries of a picture, of whatever caption, against that picture's keys. */
export function crossAttention(
  scope: ParameterScope,
  { hiddenSize, heads }: AttentionSizes,
  x: Tensor,
  { key, value }: KeyValue,
  queriesPerPicture: Dimension,
  bias?: Tensor,
): { output: Tensor; weights: Tensor } {
  const pictures = key.shape[0]!;
  const query = linear(scope.at("q_proj"), x, hiddenSize);
  const perPicture = splitHeads(reshape(query, [pictures, queriesPerPicture, hiddenSize]), heads);
  const { output, weights } = attention(perPicture, key, value, bias);
  const merged = reshape(mergeHeads(output), x.shape);
  return { output: linear(scope.at("out_proj"), merged, hiddenSize), weights };
}

function keyValue(scope: ParameterScope, { hiddenSize, heads }: AttentionSizes, x: Tensor): KeyValue {
  const [key, value] = linears(scope, ["k_proj", "v_proj"], x, hiddenSize).map((one) =>
    splitHeads(one, heads),
  ) as [Tensor, Tensor];
  return { key, value };
}

function norm(scope: ParameterScope, { layerNormEps }: DecoderConfig, x: Tensor): Tensor {
  return layerNorm(scope, x, layerNormEps);
}
