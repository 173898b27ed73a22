import {
  add,
  cast,
  constantInt,
  equal,
  gatherElements,
  logSumExp,
  multiply,
  reshape,
  subtract,
  sum,
  type Tensor,
} from "../graph/index.js";

export interface LossOptions {
  /** Labels that count for nothing. */
  readonly padId: number;
  /** Share of the target's probability spread over all other tokens. Default 0. */
  readonly labelSmoothing?: number;
}

/**
 * Cross-entropy summed over the labels that are not padding (divide by their number for the mean that the
 * original reports). With smoothing ε the target is 1 − ε at the label and ε / (V − 1) elsewhere, and the entropy
 * of that target is taken off, so that a perfect model scores 0 (the original's `loss_fn`, after Szegedy et al. 2015).
 * @param logits [tokens, vocabulary]
 * @param labels [tokens] int64
 */
export function captionLoss(
  logits: Tensor,
  labels: Tensor,
  { padId, labelSmoothing = 0 }: LossOptions,
): Tensor {
  const [tokens, vocabulary] = logits.shape as [Tensor["shape"][0], number];
  const logNormalizer = logSumExp(logits, { axes: [-1] });
  const labelLogit = reshape(gatherElements(logits, reshape(labels, [tokens!, 1]), 1), [tokens!]);
  let loss = subtract(logNormalizer, labelLogit);

  if (labelSmoothing > 0) {
    const confidence = 1 - labelSmoothing;
    const rest = labelSmoothing / (vocabulary - 1);
    const entropy = -(confidence * Math.log(confidence) + (vocabulary - 1) * rest * Math.log(rest));
    // −Σ target·log p = (confidence − rest)·(−log p_label) + rest·Σ(−log p)
    const total = subtract(multiply(vocabulary, logNormalizer), sum(logits, { axes: [-1] }));
    loss = subtract(add(multiply(confidence - rest, loss), multiply(rest, total)), entropy);
  }
  const isPad = equal(labels, constantInt(padId));
  return sum(multiply(loss, subtract(1, cast(isPad, "float32"))));
}
