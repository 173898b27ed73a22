import {
  concat,
  type Dimension,
  gatherElements,
  input,
  logSumExp,
  mean,
  multiplyDimensions,
  reshape,
  subtract,
  type Tensor,
} from "../graph/index.js";
import type { KeyValue } from "../nn/attention.js";
import { linear } from "../nn/linear.js";
import { ParameterScope } from "../nn/parameters.js";
import { clipVision, type VisionOutputs } from "./clip-vision.js";
import type { CaptionerConfig } from "./config.js";
import {
  crossKeyValues,
  type DecoderInputs,
  type DecoderOutputs,
  languageModelHead,
  mbartDecoder,
} from "./mbart-decoder.js";
import { keyValueInputs, keyValueNames, searchStep } from "./search-step.js";
import { groupOutputs } from "./weight-inputs.js";

/**
 * CLIP-Vision-mBART50 (Chhablani et al. 2021, flax-community/clip-vit-base-patch32_mbart-large-50): a picture's
 * positions from CLIP, projected to the decoder's width, are what the cross-attention of mBART's decoder sees.
 *
 * The fusion, then the programs that the rest of lingolens runs. Their inputs and outputs are named by
 * the constants and functions here, so that whoever feeds a program spells no name.
 */
export class CaptionerGraph {
  readonly #parameters: ParameterScope;

  /** @param int8 the weights that are kept in int8; see `nn/product.ts` */
  constructor(
    readonly config: CaptionerConfig,
    int8?: ReadonlySet<string>,
  ) {
    this.#parameters = ParameterScope.root(int8);
  }

  /** By the weights' names, what each is multiplied with in what has been built so far. */
  get weightInputs(): ReadonlyMap<string, Tensor> {
    return this.#parameters.inputs;
  }

  /** @param pixelValues [pictures, channels, size, size] */
  encode(pixelValues: Tensor): VisionOutputs & { projected: Tensor; cross: KeyValue[] } {
    const vision = clipVision(
      this.#parameters.at("model.encoder.vision_model"),
      this.config.vision,
      pixelValues,
    );
    const width = this.config.decoder.hiddenSize;
    const projected = linear(this.#parameters.at("model.visual_projection"), vision.lastHiddenState, width);
    const cross = crossKeyValues(this.#parameters.at("model.decoder"), this.config.decoder, projected);
    return { ...vision, projected, cross };
  }

  decode(inputs: DecoderInputs): DecoderOutputs {
    return mbartDecoder(this.#parameters, this.config.decoder, inputs);
  }

  /** [rows, hidden] → logits [rows, vocabulary]. `few`: there are a few rows only, as in a step of a search. */
  head(hiddenStates: Tensor, { few = false } = {}): Tensor {
    return languageModelHead(this.#parameters, this.config.decoder, hiddenStates, few);
  }

  /** As `searchStep` takes them: all in one, since a step has a few rows only. */
  headBlocks(hiddenStates: Tensor): readonly Tensor[] {
    return [this.head(hiddenStates, { few: true })];
  }

  /** `pixelValues` as a program's input, [pictures, channels, size, size]. */
  pixelValues(): Tensor {
    const { channels, imageSize } = this.config.vision;
    return input("pixelValues", "float32", ["pictures", channels, imageSize, imageSize]);
  }

  /** `cross.N.key`, `cross.N.value` as a program's inputs. */
  crossInputs(): KeyValue[] {
    const { vision, decoder } = this.config;
    const positions = (vision.imageSize / vision.patchSize) ** 2 + 1;
    const shape = ["pictures", decoder.heads, positions, decoder.hiddenSize / decoder.heads];
    return keyValueInputs("cross", decoder.layers, shape);
  }
}

type Outputs = Record<string, Tensor>;

/** pixelValues → cross.N.key, cross.N.value [pictures, heads, positions, headSize]. */
export function encodeOutputs(config: CaptionerConfig, int8?: ReadonlySet<string>): Outputs {
  const graph = new CaptionerGraph(config, int8);
  return keyValueNames("cross", graph.encode(graph.pixelValues()).cross);
}

/** One step of the searches, `searchStep`, over cross.N.*. */
export function decodeOutputs(config: CaptionerConfig, int8?: ReadonlySet<string>): Outputs {
  const graph = new CaptionerGraph(config, int8);
  return searchStep(graph, { cross: graph.crossInputs() });
}

/** Teacher-forced inputs shared by the programs below. */
export function captionInputs(): { ids: Tensor; labels: Tensor; positions: Tensor } {
  return {
    ids: input("decoderInputIds", "int64", ["pictures", "captions", "length"]),
    labels: input("labels", "int64", ["pictures", "captions", "length"]),
    positions: input("positions", "int64", ["length"]),
  };
}

/** pixelValues, decoderInputIds [pictures, captions, length], positions → logits [pictures, captions, length, vocabulary]. */
export function logitsOutputs(config: CaptionerConfig, int8?: ReadonlySet<string>): Outputs {
  const graph = new CaptionerGraph(config, int8);
  const { ids, positions } = captionInputs();
  const { cross } = graph.encode(graph.pixelValues());
  const { lastHiddenState } = graph.decode({ ids, positions, cross });
  return {
    logits: reshape(allLogits(graph, lastHiddenState), [...ids.shape, config.decoder.vocabularySize]),
  };
}

/** Logits of every position, [rows·length, vocabulary]. */
export function allLogits(graph: CaptionerGraph, lastHiddenState: Tensor): Tensor {
  const [rows, length, width] = lastHiddenState.shape as [Dimension, Dimension, number];
  return graph.head(reshape(lastHiddenState, [multiplyDimensions(rows, length), width]));
}

/**
 * Given captions: decoderInputIds, labels, positions, and either pixelValues or cross.N.* → `logProbs` [pictures,
 * captions, length] of each label.
 */
export function scoreOutputs(
  config: CaptionerConfig,
  from: "pixelValues" | "cross",
  int8?: ReadonlySet<string>,
): Outputs {
  const graph = new CaptionerGraph(config, int8);
  const { ids, labels, positions } = captionInputs();
  const cross = from === "cross" ? graph.crossInputs() : graph.encode(graph.pixelValues()).cross;
  const { lastHiddenState } = graph.decode({ ids, positions, cross });
  const logits = allLogits(graph, lastHiddenState);
  const labelLogits = gatherElements(logits, reshape(labels, [logits.shape[0]!, 1]), 1);
  const logProbs = subtract(labelLogits, logSumExp(logits, { axes: [-1], keepDims: true }));
  return { logProbs: reshape(logProbs, ids.shape) };
}

/**
 * What the weights of products are multiplied with: pixelValues, decoderInputIds, positions → [..., in] by
 * `weightInputName`.
 */
export function weightInputOutputs(config: CaptionerConfig): Outputs {
  return groupOutputs(captionerWeightInputs(config));
}

/** By the weights' names, what each is multiplied with. */
export function captionerWeightInputs(config: CaptionerConfig): ReadonlyMap<string, Tensor> {
  const graph = new CaptionerGraph(config);
  const { ids, positions } = captionInputs();
  const { cross } = graph.encode(graph.pixelValues());
  allLogits(graph, graph.decode({ ids, positions, cross }).lastHiddenState);
  return graph.weightInputs;
}

/**
 * What each token looked at: cross.N.*, decoderInputIds, positions → `attention` [pictures, captions, length,
 * picture positions], the mean of the cross-attention over layers and heads. Entry t belongs to the token that
 * follows input t.
 */
export function attentionOutputs(config: CaptionerConfig, int8?: ReadonlySet<string>): Outputs {
  const graph = new CaptionerGraph(config, int8);
  const { ids, positions } = captionInputs();
  const { crossAttentions } = graph.decode({ ids, positions, cross: graph.crossInputs() });
  const heads = mean(concat(crossAttentions, 1), { axes: [1] }); // [pictures, captions·length, positions]
  return { attention: reshape(heads, [...ids.shape, heads.shape.at(-1)!]) };
}
