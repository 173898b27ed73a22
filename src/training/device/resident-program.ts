import type { HostTensor } from "../../engine/engine.js";
import {
  add,
  addRows,
  cast,
  concat,
  type Dimension,
  elementCount,
  equal,
  input,
  matMul,
  multiply,
  multiplyDimensions,
  type Program,
  reshape,
  slice,
  sum,
  type Tensor,
} from "../../graph/index.js";
import type { CaptionerConfig } from "../../model/config.js";
import { EMBEDDING, HEAD_BIAS } from "../../model/mbart-decoder.js";
import type { LossTargets } from "../gradient-program.js";
import type { HeadBlock } from "../head-loss.js";
import {
  type CaptionBatch,
  embeddingBlocks,
  gradientName,
  gradientsBelowHead,
  type LossOptions,
  lossGraph,
} from "../train-program.js";

/**
 * `trainProgram` for memory that the program itself has to slice and complete: `losses` [tokens], and the gradient of their
 * sum for every trained parameter, the embedding's and the head's bias whole. Fed with `rowFeeds` besides.
 *
 * A row of the embedding may get what belongs to many tokens. On a GPU, sums that are taken as they come differ from run to
 * run; so a product with a matrix of zeros and ones, small since it is of the batch's different tokens only, sums each
 * token's, and every row is added to once.
 */
export function residentTrainProgram(
  config: CaptionerConfig,
  trainable: ReadonlySet<string>,
  options: Omit<LossOptions, "blocks">,
): Program {
  const graph = lossGraph(config, { ...options, blocks: (embedding) => slicedBlocks(config, embedding) });
  const { head, hidden } = graph;
  const { gradients, tokenGradients } = gradientsBelowHead(graph, trainable);
  const outputs: Record<string, Tensor> = { losses: head.losses, ...gradients };

  const rowIds = input("rowIds", "int64", ["rows"]);
  const rowNumbers = reshape(input("rowNumbers", "float32", ["rows"]), ["rows", 1]);
  /** [rows, places]: 1 where a place's token is the row's. */
  const isRow = (places: Tensor) => {
    const row = reshape(places, [1, elementCount(places.shape)]);
    return cast(equal(rowNumbers, row), "float32");
  };
  const isLabel = isRow(input("labelRowNumbers", "float32", ["tokens"]));
  if (trainable.has(HEAD_BIAS)) {
    const counts = sum(isLabel, { axes: [1], keepDims: true });
    const bias = reshape(head.bias, [config.decoder.vocabularySize, 1]);
    const whole = addRows(bias, rowIds, multiply(counts, -head.labelShare));
    outputs[gradientName(HEAD_BIAS)] = reshape(whole, head.bias.shape);
  }
  if (tokenGradients) {
    const [captions, length, width] = tokenGradients.shape as [Dimension, Dimension, number];
    const isInput = isRow(input("inputRowNumbers", "float32", ["pictures", "captions", "length"]));
    const ofInputs = matMul(isInput, reshape(tokenGradients, [multiplyDimensions(captions, length), width]));
    const ofLabels = matMul(isLabel, multiply(hidden, -head.labelShare));
    outputs[gradientName(EMBEDDING)] = addRows(concat(head.blocks, 0), rowIds, add(ofInputs, ofLabels));
  }
  return { outputs };
}

/** `lossProgram` for an embedding that the program itself has to slice. */
export function residentLossProgram(config: CaptionerConfig): Program {
  const blocks = (embedding: Tensor) => slicedBlocks(config, embedding);
  return { outputs: { losses: lossGraph(config, { recompute: true, blocks }).head.losses } };
}

function slicedBlocks(config: CaptionerConfig, embedding: Tensor): HeadBlock[] {
  return embeddingBlocks(config).map((block) => ({
    ...block,
    matrix: slice(embedding, 0, block.start, block.end),
  }));
}

/**
 * The different tokens of a batch, and which of them each input and label is; in float32, which GPUs compare, and which is
 * exact for as many as a batch has.
 */
export function rowFeeds(
  decoderInputIds: CaptionBatch["decoderInputIds"],
  { labels }: LossTargets,
): Record<string, HostTensor> {
  const ids = decoderInputIds.data as BigInt64Array;
  const rows = [...new Set([...ids, ...labels])];
  const numbers = new Map(rows.map((id, number) => [id, number]));
  const numbersOf = (tokens: BigInt64Array) => Float32Array.from(tokens, (id) => numbers.get(id)!);
  return {
    rowIds: { dtype: "int64", shape: [rows.length], data: BigInt64Array.from(rows) },
    rowNumbers: floats([rows.length], Float32Array.from(rows.keys())),
    inputRowNumbers: floats(
      decoderInputIds.shape,
      Float32Array.from(ids, (id) => numbers.get(id)!),
    ),
    labelRowNumbers: floats([labels.length], numbersOf(labels)),
  };
}

const floats = (shape: readonly number[], data: Float32Array): HostTensor => ({
  dtype: "float32",
  shape,
  data,
});
