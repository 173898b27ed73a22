/** Captions one by one: how good each is, and how sure the model was of it. */
import { chrfOf, chrfStatistics } from "./chrf.js";
import type { PictureLines } from "./describe-pictures.js";
import type { RunCaption } from "./run-files.js";

export interface JudgedCaption extends RunCaption {
  /** chrF of this caption alone, from 0 to 100: no words are needed, so it serves all languages. */
  readonly chrf: number;
  /** e to the search's score: with a length penalty of 1, the geometric mean of its tokens' probabilities. */
  readonly confidence: number;
}

/** Lists by picture, in the order of the lines; pictures that failed have none. */
export function judgedCaptions(lines: readonly PictureLines[]): JudgedCaption[][] {
  const pictures = lines.map((own) => own.filter((line): line is RunCaption => !("error" in line)));
  const captions = pictures.flat();
  const { chrf } = chrfStatistics(
    captions.map(({ caption }) => caption),
    captions.map(({ references }) => references),
  );
  let place = 0;
  return pictures.map((own) =>
    own.map((caption) => ({
      ...caption,
      chrf: chrfOf(chrf[place++]!),
      confidence: Math.exp(caption.score ?? Number.NEGATIVE_INFINITY),
    })),
  );
}

/** Spearman's, from -1 to 1; equal values share a rank. Nothing where one side has a single value. */
export function rankCorrelation(xs: readonly number[], ys: readonly number[]): number | undefined {
  const [a, b] = [ranksOf(xs), ranksOf(ys)];
  const middle = (xs.length - 1) / 2;
  const sum = (of: (i: number) => number) => xs.reduce((total, _, i) => total + of(i), 0);
  const variances = sum((i) => (a[i]! - middle) ** 2) * sum((i) => (b[i]! - middle) ** 2);
  if (variances === 0) return undefined;
  return sum((i) => (a[i]! - middle) * (b[i]! - middle)) / Math.sqrt(variances);
}

function ranksOf(values: readonly number[]): Float64Array {
  const order = values.map((_, i) => i).sort((i, j) => values[i]! - values[j]!);
  const ranks = new Float64Array(values.length);
  for (let from = 0, to = 0; from < order.length; from = to) {
    while (to < order.length && values[order[to]!] === values[order[from]!]) to += 1;
    for (let i = from; i < to; i++) ranks[order[i]!] = (from + to - 1) / 2;
  }
  return ranks;
}
