/**
 * Corpus BLEU (Papineni et al. 2002, https://aclanthology.org/P02-1040) without smoothing, as `compute_bleu` of
 * tensorflow/nmt defines it, which the original used.
 */

export const BLEU_ORDERS = 4;

export interface BleuSegment {
  /** Tokens, which hold no spaces. */
  readonly hypothesis: readonly string[];
  /** Tokens of at least one reference. */
  readonly references: readonly (readonly string[])[];
}

export interface BleuResult {
  /** BLEU-1 to BLEU-4, fractions from 0 to 1. */
  readonly bleu: readonly [number, number, number, number];
  /** Share of the hypotheses' n-grams that a reference holds too, for n from 1 to 4; 0 where there are none. */
  readonly precisions: readonly number[];
  /** What hypotheses shorter than the references are multiplied by. */
  readonly brevityPenalty: number;
  /** Tokens. */
  readonly hypothesisLength: number;
  /** Tokens; of each segment's shortest reference. */
  readonly referenceLength: number;
}

/** BLEU of all segments together. Without a single hypothesis token it is 0. */
export function corpusBleu(segments: Iterable<BleuSegment>): BleuResult {
  const matches = new Array<number>(BLEU_ORDERS).fill(0);
  const totals = new Array<number>(BLEU_ORDERS).fill(0);
  let hypothesisLength = 0;
  let referenceLength = 0;
  for (const { hypothesis, references } of segments) {
    hypothesisLength += hypothesis.length;
    referenceLength += Math.min(...references.map((reference) => reference.length));
    for (let order = 1; order <= BLEU_ORDERS; order++) {
      matches[order - 1]! += countMatches(hypothesis, references, order);
      totals[order - 1]! += Math.max(0, hypothesis.length - order + 1);
    }
  }
  const precisions = totals.map((total, i) => (total > 0 ? matches[i]! / total : 0));
  const brevityPenalty = penalty(hypothesisLength, referenceLength);
  const upTo = (order: number) => brevityPenalty * geometricMean(precisions.slice(0, order));
  return {
    bleu: [upTo(1), upTo(2), upTo(3), upTo(4)],
    precisions,
    brevityPenalty,
    hypothesisLength,
    referenceLength,
  };
}

/** An n-gram matches at most as often as it occurs in the reference that has it most often. */
function countMatches(
  hypothesis: readonly string[],
  references: readonly (readonly string[])[],
  order: number,
): number {
  const referenceCounts = references.map((reference) => countNgrams(reference, order));
  let matches = 0;
  for (const [ngram, count] of countNgrams(hypothesis, order)) {
    matches += Math.min(count, Math.max(...referenceCounts.map((counts) => counts.get(ngram) ?? 0)));
  }
  return matches;
}

function countNgrams(tokens: readonly string[], order: number): Map<string, number> {
  const counts = new Map<string, number>();
  for (let start = 0; start + order <= tokens.length; start++) {
    const ngram = tokens.slice(start, start + order).join(" ");
    counts.set(ngram, (counts.get(ngram) ?? 0) + 1);
  }
  return counts;
}

function penalty(hypothesisLength: number, referenceLength: number): number {
  if (hypothesisLength === 0) return 0;
  return hypothesisLength > referenceLength ? 1 : Math.exp(1 - referenceLength / hypothesisLength);
}

function geometricMean(precisions: readonly number[]): number {
  const logs = precisions.reduce((sum, precision) => sum + Math.log(precision), 0);
  return Math.exp(logs / precisions.length); // exp(-∞) is the 0 that an order without matches makes of it all
}
