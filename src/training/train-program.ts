import type { HostTensor } from "../engine/engine.js";
import {
  gather,
  gradFrom,
  input,
  multiplyDimensions,
  type Program,
  parameter,
  programParameters,
  reshape,
  type Tensor,
} from "../graph/index.js";
import { CaptionerGraph, captionInputs } from "../model/captioner.js";
import type { CaptionerConfig } from "../model/config.js";
import { EMBEDDING, HEAD_BIAS } from "../model/mbart-decoder.js";
import {
  type HeadBlock,
  type HeadLoss,
  headLoss,
  type VocabularyBlock,
  vocabularyBlocks,
} from "./head-loss.js";

/** Pictures with their captions, ready to be fed. */
export interface CaptionBatch {
  readonly [input: string]: HostTensor;
  /** [pictures, channels, size, size] */
  readonly pixelValues: HostTensor;
  /** [pictures, captions, length] */
  readonly decoderInputIds: HostTensor;
  /** [pictures, captions, length], padded with the padding id. */
  readonly labels: HostTensor;
  /** [length]: 0, 1, … */
  readonly positions: HostTensor;
}

/** Name of the output that holds the gradient of a parameter, or of a block of one. */
export const gradientName = (parameter: string): string => `gradient:${parameter}`;

/** The embedding's blocks, which the head reads one by one. */
export function embeddingBlocks({ decoder }: CaptionerConfig): VocabularyBlock[] {
  return vocabularyBlocks(EMBEDDING, decoder.vocabularySize);
}

export interface LossOptions {
  /** Default 0. */
  readonly labelSmoothing?: number;
  /** See `HeadLossInputs`. Default false. */
  readonly recompute?: boolean;
  /** What is done to the decoder's hidden states. Default: nothing. */
  readonly dropout?: (x: Tensor) => Tensor;
  /** The head's rows of the embedding. Default: each block is fed as a parameter of its own, since a slice is a copy. */
  readonly blocks?: (embedding: Tensor) => readonly HeadBlock[];
}

export interface LossGraph {
  readonly head: HeadLoss;
  /** [tokens, hidden]: what the head's product reads. */
  readonly hidden: Tensor;
  /** The embedding's rows of all input ids, [pictures·captions, length, hidden]. */
  readonly tokens: Tensor;
}

function blockParameters(config: CaptionerConfig): HeadBlock[] {
  const { hiddenSize } = config.decoder;
  return embeddingBlocks(config).map((block) => ({
    ...block,
    matrix: parameter(block.name, [block.end - block.start, hiddenSize]),
  }));
}

export function lossGraph(config: CaptionerConfig, options: LossOptions): LossGraph {
  const { labelSmoothing = 0, recompute = false, dropout, blocks = () => blockParameters(config) } = options;
  const graph = new CaptionerGraph(config);
  const { ids, positions } = captionInputs();
  const { cross } = graph.encode(graph.pixelValues());
  const { lastHiddenState, tokens } = graph.decode({ ids, positions, cross, ...(dropout && { dropout }) });

  // The head computes the positions whose label counts, and not those of padding.
  const targets = input("targets", "int64", ["tokens"]);
  const labels = input("targetLabels", "int64", ["tokens"]);
  const [rows, length, width] = lastHiddenState.shape as [Tensor["shape"][0], Tensor["shape"][0], number];
  const hidden = gather(reshape(lastHiddenState, [multiplyDimensions(rows!, length!), width]), targets);
  const { vocabularySize } = config.decoder;
  const embedding = programParameters({ outputs: { tokens } }).get(EMBEDDING)!;
  const head = headLoss({
    hidden,
    labelRows: gather(embedding, labels),
    labels,
    bias: reshape(parameter(HEAD_BIAS, [1, vocabularySize]), [vocabularySize]),
    blocks: blocks(embedding),
    labelSmoothing,
    recompute,
  });
  return { head, hidden, tokens };
}

/** The batch and, as `targets` and `targetLabels`, where labels count → `losses` [tokens]. */
export function lossProgram(config: CaptionerConfig): Program {
  return { outputs: { losses: lossGraph(config, { recompute: true }).head.losses } };
}

export interface TrainOutputs {
  readonly program: Program;
  /** Of the embedding's gradient, every label's row gets −labelShare · `labelHidden`; see `HeadLoss`. */
  readonly labelShare: number;
}

/**
 * `losses` [tokens] and the gradient of their sum for every parameter of `trainable`. Sums, not means: micro-batches and
 * machines with unequal numbers of tokens then add up to the mean over all tokens.
 *
 * Of the embedding, which is also the head, there are the gradients of its blocks, and what is to be added to a few of
 * its rows: `labelHidden` [tokens, hidden] to those of the labels, `tokenGradients` [pictures·captions, length, hidden]
 * to those of the input ids.
 */
export function trainProgram(
  config: CaptionerConfig,
  trainable: ReadonlySet<string>,
  options: LossOptions = {},
): TrainOutputs {
  const { head, hidden, tokens } = lossGraph(config, options);
  const outputs: Record<string, Tensor> = { losses: head.losses };
  if (trainable.has(HEAD_BIAS)) outputs[gradientName(HEAD_BIAS)] = head.bias;
  if (trainable.has(EMBEDDING)) outputs.labelHidden = hidden;
  const { gradients, tokenGradients } = gradientsBelowHead({ head, hidden, tokens }, trainable);
  Object.assign(outputs, gradients);
  if (tokenGradients) {
    outputs.tokenGradients = tokenGradients;
    // ONNX Runtime orders its work from the last output back: the blocks come first, one by one.
    for (const [i, { name }] of [...embeddingBlocks(config).entries()].reverse())
      outputs[gradientName(name)] = head.blocks[i]!;
  }
  return { program: { outputs }, labelShare: head.labelShare };
}

/**
 * Gradients of what is trained but for the head, by `gradientName`, and, where the embedding is trained, those of its rows
 * that the decoder looked up.
 */
export function gradientsBelowHead(
  { head, hidden, tokens }: LossGraph,
  trainable: ReadonlySet<string>,
): { gradients: Record<string, Tensor>; tokenGradients?: Tensor } {
  // Parameters that the loss does not depend on, such as CLIP's last norm, have no gradient to compute. The embedding's
  // own part in the hidden states ends at the rows that were looked up.
  const wrt = [...programParameters({ outputs: { hidden } })].filter(
    ([name]) => trainable.has(name) && name !== EMBEDDING,
  );
  const ends = wrt.map(([, tensor]) => tensor);
  const all = gradFrom(hidden, head.hidden, trainable.has(EMBEDDING) ? [...ends, tokens] : ends);
  const gradients = Object.fromEntries(wrt.map(([name], i) => [gradientName(name), all[i]!]));
  return { gradients, ...(trainable.has(EMBEDDING) && { tokenGradients: all.at(-1)! }) };
}
