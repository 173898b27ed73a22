import {
  add,
  cast,
  concat,
  constant,
  constantInt,
  type Dimension,
  elementCount,
  equal,
  gather,
  gelu,
  input,
  maximum,
  multiply,
  multiplyDimensions,
  reshape,
  sigmoid,
  type Tensor,
} from "../graph/index.js";
import type { KeyValue } from "../nn/attention.js";
import { layerNorm } from "../nn/layer-norm.js";
import { linear } from "../nn/linear.js";
import { ParameterScope } from "../nn/parameters.js";
import { lookUp, productInBlocks } from "../nn/product.js";
import { LAYER_NORM_EPS, type MarianConfig } from "./marian-config.js";
import {
  causalBias,
  crossAttention,
  crossKeyValues,
  type DecoderInputs,
  type DecoderOutputs,
  EMBEDDING,
  HEAD_BIAS,
  selfAttention,
} from "./mbart-decoder.js";
import { keyValueInputs, keyValueNames, searchStep } from "./search-step.js";
import { groupOutputs, type WeightInputs } from "./weight-inputs.js";

/**
 * MarianMT (Junczys-Dowmunt et al. 2018, arXiv 1804.00344), as Helsinki-NLP's opus-mt models use it: the Transformer
 * of Vaswani et al. 2017 (arXiv 1706.03762) with its norms after every sublayer, sinusoidal positions, and one
 * embedding for source, target and output.
 *
 * Sentences take the place of the captioner's pictures: the decoder's rows are `pictures` × `captions` here too.
 */
export class MarianGraph {
  readonly #parameters: ParameterScope;

  /** @param int8 the weights that are kept in int8; see `nn/product.ts` */
  constructor(
    readonly config: MarianConfig,
    int8?: ReadonlySet<string>,
  ) {
    this.#parameters = ParameterScope.root(int8);
  }

  /** By the weights' names, what each is multiplied with in what has been built so far. */
  get weightInputs(): WeightInputs {
    return this.#parameters.inputs;
  }

  /**
   * @param ids [sentences, length] int64, padded
   * @returns after the embedding and after every layer, [sentences, length, hidden]; keys and values for the decoder;
   * what hides the padding from it
   */
  encode(ids: Tensor): { hiddenStates: Tensor[]; cross: KeyValue[]; crossBias: Tensor } {
    const { hiddenSize, encoder, ids: special } = this.config;
    const [sentences, length] = ids.shape as [Dimension, Dimension];
    const padding = cast(equal(ids, constantInt(special.pad)), "float32");
    const crossBias = reshape(multiply(padding, UNSEEN), [sentences, 1, 1, length]);
    const positions = input("sourcePositions", "int64", [length]);
    const hiddenStates = [this.#embed(ids, positions)];
    for (let layer = 0; layer < encoder.layers; layer++) {
      const block = this.#parameters.at(`model.encoder.layers.${layer}`);
      let x = hiddenStates.at(-1)!;
      const self = selfAttention(block.at("self_attn"), { hiddenSize, heads: encoder.heads }, x, crossBias);
      x = norm(block.at("self_attn_layer_norm"), add(x, self.output));
      hiddenStates.push(this.#feedForward(block, x, encoder.ffnDim));
    }
    const cross = crossKeyValues(
      this.#parameters.at("model.decoder"),
      this.config.decoder,
      hiddenStates.at(-1)!,
    );
    return { hiddenStates, cross, crossBias };
  }

  decode({
    ids,
    positions,
    cross,
    crossBias,
    cache,
  }: Omit<DecoderInputs, "past" | "attentionMask" | "dropout">): MarianDecoderOutputs {
    const { decoder } = this.config;
    const [sentences, captions, length] = ids.shape as [Dimension, Dimension, Dimension];
    const rows = multiplyDimensions(sentences, captions);
    const bias = cache
      ? reshape(cache.bias, [rows, 1, ...cache.bias.shape.slice(1)])
      : causalBias(positions, positions);
    const hiddenStates = [this.#embed(reshape(ids, [rows, length]), positions)];
    const own: KeyValue[] = [];
    for (let layer = 0; layer < decoder.layers; layer++) {
      const block = this.#parameters.at(`model.decoder.layers.${layer}`);
      let x = hiddenStates.at(-1)!;
      const self = selfAttention(block.at("self_attn"), decoder, x, bias, { cached: cache?.pairs[layer] });
      x = norm(block.at("self_attn_layer_norm"), add(x, self.output));
      const queries = multiplyDimensions(captions, length);
      const seen = crossAttention(block.at("encoder_attn"), decoder, x, cross[layer]!, queries, crossBias);
      x = norm(block.at("encoder_attn_layer_norm"), add(x, seen.output));
      hiddenStates.push(this.#feedForward(block, x, decoder.ffnDim));
      own.push(self.own);
    }
    return { hiddenStates, lastHiddenState: hiddenStates.at(-1)!, own };
  }

  /** [rows, hidden] → logits [rows, vocabulary] */
  head(hiddenStates: Tensor): Tensor {
    const blocks = this.headBlocks(hiddenStates);
    return blocks.length === 1 ? blocks[0]! : concat(blocks, 1);
  }

  /** As `searchStep` takes them: the logits of a large batch are more than the processor's cache holds. */
  headBlocks(hiddenStates: Tensor): readonly Tensor[] {
    const { vocabularySize, renormalize, ids } = this.config;
    const bias = reshape(this.#parameters.get(HEAD_BIAS, [1, vocabularySize]), [vocabularySize]);
    const hidden = new Float32Array(vocabularySize);
    hidden[ids.pad] = UNSEEN;
    const shown = renormalize ? add(bias, constant(hidden, [vocabularySize])) : bias;
    return productInBlocks(this.#parameters, EMBEDDING, hiddenStates, shown, HEAD_BLOCK);
  }

  /** @param ids [rows, length] */
  #embed(ids: Tensor, positions: Tensor): Tensor {
    const { vocabularySize, hiddenSize, maxPositions, scaleEmbedding } = this.config;
    const tokens = lookUp(this.#parameters, EMBEDDING, [vocabularySize, hiddenSize], ids);
    const table = this.#parameters.get(POSITIONS, [maxPositions, hiddenSize]);
    return add(multiply(tokens, scaleEmbedding ? Math.sqrt(hiddenSize) : 1), gather(table, positions));
  }

  #feedForward(block: ParameterScope, x: Tensor, ffnDim: number): Tensor {
    const hidden = ACTIVATIONS[this.config.activation](linear(block.at("fc1"), x, ffnDim));
    return norm(
      block.at("final_layer_norm"),
      add(x, linear(block.at("fc2"), hidden, this.config.hiddenSize)),
    );
  }
}

export interface MarianDecoderOutputs extends Pick<DecoderOutputs, "lastHiddenState" | "own"> {
  /** After the embedding and after every layer, [sentences·captions, length, hidden]. */
  readonly hiddenStates: readonly Tensor[];
}

/** [positions, hidden], of encoder and decoder. */
export const POSITIONS = "model.embed_positions.weight";

/** Tokens of the vocabulary whose logits are computed together: 4 MiB of them for 256 rows. */
const HEAD_BLOCK = 4096;

/** What hides a key from a query, and a token from a search. */
const UNSEEN = -1e9;

const ACTIVATIONS = {
  swish: (x: Tensor): Tensor => multiply(x, sigmoid(x)),
  relu: (x: Tensor): Tensor => maximum(x, 0),
  gelu,
};

function norm(scope: ParameterScope, x: Tensor): Tensor {
  return layerNorm(scope, x, LAYER_NORM_EPS);
}

/**
 * The table of positions [positions, width]: sines of all frequencies, then their cosines. (Vaswani et al. have them
 * by turns.)
 */
export function sinusoids(positions: number, width: number): Float32Array {
  const table = new Float32Array(positions * width);
  const sines = Math.ceil(width / 2);
  for (let position = 0; position < positions; position++)
    for (let i = 0; i < width; i++) {
      const pair = i < sines ? i : i - sines;
      const angle = position / 10000 ** ((2 * pair) / width);
      table[position * width + i] = i < sines ? Math.sin(angle) : Math.cos(angle);
    }
  return table;
}

type Outputs = Record<string, Tensor>;

const sourceIds = (): Tensor => input("ids", "int64", ["pictures", "source"]);

/** ids [sentences, length], sourcePositions [length] → cross.N.key, cross.N.value and crossBias, as a step takes them. */
export function marianEncodeOutputs(config: MarianConfig, int8?: ReadonlySet<string>): Outputs {
  const { cross, crossBias } = new MarianGraph(config, int8).encode(sourceIds());
  return { ...keyValueNames("cross", cross), crossBias };
}

/** One step of the searches, `searchStep`, over what `marianEncodeOutputs` gives. */
export function marianDecodeOutputs(config: MarianConfig, int8?: ReadonlySet<string>): Outputs {
  const { layers, heads, hiddenSize } = config.decoder;
  const shape = ["pictures", heads, "source", hiddenSize / heads];
  return searchStep(new MarianGraph(config, int8), {
    cross: keyValueInputs("cross", layers, shape),
    crossBias: input("crossBias", "float32", ["pictures", 1, 1, "source"]),
  });
}

/** Teacher-forced: ids, sourcePositions, decoderInputIds [sentences, 1, length], positions → logits [sentences·length, vocabulary]. */
function teacherForced(
  config: MarianConfig,
  int8?: ReadonlySet<string>,
): { graph: MarianGraph; logits: Tensor } {
  const graph = new MarianGraph(config, int8);
  const seen = graph.encode(sourceIds());
  const { lastHiddenState } = graph.decode({
    ids: input("decoderInputIds", "int64", ["pictures", 1, "length"]),
    positions: input("positions", "int64", ["length"]),
    ...seen,
  });
  const rows = elementCount(lastHiddenState.shape.slice(0, -1));
  return { graph, logits: graph.head(reshape(lastHiddenState, [rows, config.hiddenSize])) };
}

/** ids, sourcePositions, decoderInputIds, positions → `logits` [sentences·length, vocabulary]. */
export function marianLogitsOutputs(config: MarianConfig, int8?: ReadonlySet<string>): Outputs {
  return { logits: teacherForced(config, int8).logits };
}

/** By the weights' names, what each is multiplied with. */
export function marianWeightInputs(config: MarianConfig): WeightInputs {
  return teacherForced(config).graph.weightInputs;
}

/** ids, sourcePositions, decoderInputIds, positions → what weights are multiplied with, by `weightInputName`. */
export function marianWeightInputOutputs(config: MarianConfig): Outputs {
  return groupOutputs(marianWeightInputs(config));
}
