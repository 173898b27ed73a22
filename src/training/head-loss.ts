import {
  add,
  concat,
  exp,
  gather,
  gemm,
  log,
  matMul,
  max,
  multiply,
  reshape,
  slice,
  softmax,
  subtract,
  sum,
  swapLast,
  type Tensor,
  turnedOver,
} from "../graph/index.js";

/** A stretch of the vocabulary whose scores are computed at once. */
export interface VocabularyBlock {
  /** Of the parameter that holds these rows of the embedding, where they are fed by themselves. */
  readonly name: string;
  readonly start: number;
  readonly end: number;
}

/** A block with its rows of the head's matrix, [end − start, width]. */
export interface HeadBlock extends VocabularyBlock {
  readonly matrix: Tensor;
}

/** Rows of a block: the scores of 256 tokens for so many stay in the processor's caches from one operation to the next. */
const BLOCK = 8192;

/** Parts of a matrix [vocabulary, width], each to be fed as a parameter of its own: a slice would be a copy. */
export function vocabularyBlocks(matrix: string, vocabulary: number): VocabularyBlock[] {
  return Array.from({ length: Math.ceil(vocabulary / BLOCK) }, (_, i) => {
    const [start, end] = [i * BLOCK, Math.min((i + 1) * BLOCK, vocabulary)];
    return { name: `${matrix}[${start}:${end}]`, start, end };
  });
}

export interface HeadLossInputs {
  /** [tokens, width]: hidden states of the positions whose labels count. */
  readonly hidden: Tensor;
  /** [tokens, width]: the embedding's rows of those labels. */
  readonly labelRows: Tensor;
  /** [tokens] int64 */
  readonly labels: Tensor;
  /** [vocabulary] */
  readonly bias: Tensor;
  readonly blocks: readonly HeadBlock[];
  /** Share of the target's probability spread over all other tokens. */
  readonly labelSmoothing: number;
  /** Compute the probabilities a second time for the gradient, instead of keeping [tokens, vocabulary] of them. */
  readonly recompute: boolean;
}

export interface HeadLoss {
  /** [tokens]: cross-entropy of each. */
  readonly losses: Tensor;
  /** Gradients of the sum of `losses`: of `hidden`, [tokens, width], */
  readonly hidden: Tensor;
  /** of each block of the head's matrix, [rows, width], */
  readonly blocks: readonly Tensor[];
  /** and of its bias, [1, vocabulary]. The last two without what `labelShare` says. */
  readonly bias: Tensor;
  /**
   * What is left out: every label's row of the matrix gets −labelShare · its hidden state, its bias −labelShare. Added
   * in the graph, these few rows would cost a copy of the whole matrix.
   */
  readonly labelShare: number;
}

/**
 * Cross-entropy of a language model's head, the product with [vocabulary, width], and its gradient, block by block of the
 * vocabulary: all scores at once would be a gigabyte for a thousand tokens (as Wijmans et al. 2024, "Cut Your Losses",
 * arXiv 2411.09009).
 *
 * With smoothing ε the target is 1 − ε at the label and ε / (V − 1) elsewhere, and the entropy of that target is taken
 * off, so that a perfect model scores 0 (the original's `loss_fn`, after Szegedy et al. 2015).
 */
export function headLoss(inputs: HeadLossInputs): HeadLoss {
  const { hidden, labelRows, labels, bias, blocks, labelSmoothing, recompute } = inputs;
  const tokens = hidden.shape[0]!;
  const vocabulary = bias.shape[0] as number;
  const rest = labelSmoothing / (vocabulary - 1);
  const labelShare = 1 - labelSmoothing - rest;

  const scored = blocks.map(({ matrix, start, end }) => {
    const blockBias = slice(bias, 0, start, end);
    const logits = gemm(hidden, matrix, blockBias, { transposeB: true });
    const shares = softmax(logits);
    // Where the score is highest, the share is at least one over the block's size: its logarithm loses nothing.
    const rows = { axes: [-1], keepDims: true };
    const logSum = subtract(max(logits, rows), log(max(shares, rows))); // [tokens, 1]
    // Another operation than before, lest the engine sees that both are the same and keeps the first.
    const again = () => softmax(add(matMul(hidden, swapLast(matrix)), blockBias));
    return { matrix, logits, logSum, shares: () => (recompute ? again() : shares) };
  });
  const logSums = concat(
    scored.map(({ logSum }) => logSum),
    1,
  );
  const highest = max(logSums, { axes: [1], keepDims: true });
  const total = sum(exp(subtract(logSums, highest)), { axes: [1], keepDims: true });
  const logNormalizer = add(highest, log(total)); // [tokens, 1]

  const labelLogits = add(sum(multiply(hidden, labelRows), { axes: [1] }), gather(bias, labels));
  let losses = subtract(reshape(logNormalizer, [tokens]), labelLogits);
  if (labelSmoothing > 0) {
    const confidence = 1 - labelSmoothing;
    const entropy = -(confidence * Math.log(confidence) + (vocabulary - 1) * rest * Math.log(rest));
    // −Σ target·log p = labelShare·(−log p_label) + rest·Σ(−log p)
    const sums = scored.map(({ logits }) => sum(logits, { axes: [1] }));
    const all = subtract(
      multiply(vocabulary, reshape(logNormalizer, [tokens])),
      sums.reduce((a, b) => add(a, b)),
    );
    losses = subtract(add(multiply(labelShare, losses), multiply(rest, all)), entropy);
  }

  // d loss / d logits = p − rest − labelShare·[is the label]
  let hiddenGradient = multiply(-labelShare, labelRows);
  const perBlock = scored.map(({ matrix, logSum, shares }) => {
    const probabilities = multiply(shares(), exp(subtract(logSum, logNormalizer)));
    const gradient = rest > 0 ? subtract(probabilities, rest) : probabilities;
    hiddenGradient = add(hiddenGradient, matMul(gradient, matrix));
    const biasGradient = sum(gradient, { axes: [0], keepDims: true });
    const last = after(after(hidden, hiddenGradient), biasGradient);
    return { matrix: matMul(turnedOver(gradient), last), bias: biasGradient };
  });
  return {
    losses,
    hidden: hiddenGradient,
    blocks: perBlock.map((block) => block.matrix),
    bias: concat(
      perBlock.map((block) => block.bias),
      1,
    ),
    labelShare,
  };
}

/**
 * x, not to be had before the matrix y: a block's gradient is asked for last, so that all that needs the block's scores is done with
 * before the next block's are made.
 */
function after(x: Tensor, y: Tensor): Tensor {
  const corner = slice(slice(y, 0, 0, 1), 1, 0, 1);
  return add(x, multiply(corner, 0));
}
