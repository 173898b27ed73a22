/**
 * Corpus BLEU (Papineni et al. 2002, https://aclanthology.org/P02-1040) without smoothing, as `compute_bleu` of
 * tensorflow/nmt defines it, which the original used.
 */
import { sumOf } from "./bootstrap.js";
import { matchesOf, NgramCounts, NgramIndex } from "./ngrams.js";

export const BLEU_ORDERS = 4;

/** Segments that the original scored at a time. */
export const CHUNK_SEGMENTS = 512;

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
  /** Tokens; of one reference of each segment. */
  readonly referenceLength: number;
}

/** The reference whose length a hypothesis should have: tensorflow/nmt's is the shortest, COCO's the closest. */
export type ReferenceLength = "shortest" | "closest";

/**
 * What BLEU is computed from, for one segment or, added up, for many: the hypothesis's length, the reference's, the
 * matching n-grams for n from 1 to 4, and all n-grams of the hypothesis for n from 1 to 4.
 */
export type BleuStatistics = readonly number[];

/** BLEU of all segments together. Without a single hypothesis token it is 0. */
export function corpusBleu(
  segments: readonly BleuSegment[],
  lengthOf: ReferenceLength = "shortest",
): BleuResult {
  return bleuOfStatistics(sumOf(bleuStatistics(segments, lengthOf)));
}

/**
 * The mean of the BLEU of chunks of 512 segments in order, which is what the original published. The last chunk may be
 * shorter and counts as much as the others. Without segments it is 0.
 */
export function meanChunkBleu(segments: readonly BleuSegment[]): BleuResult["bleu"] {
  const statistics = bleuStatistics(segments, "shortest");
  const sums: [number, number, number, number] = [0, 0, 0, 0];
  let chunks = 0;
  for (let start = 0; start < segments.length; start += CHUNK_SEGMENTS) {
    const { bleu } = bleuOfStatistics(sumOf(statistics.slice(start, start + CHUNK_SEGMENTS)));
    for (const [i, score] of bleu.entries()) sums[i]! += score;
    chunks += 1;
  }
  return sums.map((sum) => sum / Math.max(1, chunks)) as typeof sums;
}

/** Of each segment. An n-gram matches at most as often as it occurs in the reference that has it most often. */
export function bleuStatistics(
  segments: readonly BleuSegment[],
  lengthOf: ReferenceLength,
): BleuStatistics[] {
  const index = new NgramIndex(BLEU_ORDERS);
  const counts = new NgramCounts(index);
  const most = new NgramCounts(index);
  return segments.map(({ hypothesis, references }) => {
    const texts = references.map((reference) => index.numbersOf(reference));
    for (const text of texts) {
      for (let at = text.from; at < text.end; at++) {
        const ngram = text.numbers[at]!;
        if (counts.add(ngram) > most.of(ngram)) most.add(ngram);
      }
      counts.clear(text);
    }
    const own = index.numbersOf(hypothesis);
    const matches = matchesOf(own, most, counts);
    for (const text of texts) most.clear(text);
    const length = expectedLength(hypothesis.length, references, lengthOf);
    return [hypothesis.length, length, ...matches, ...own.counts];
  });
}

export function bleuOfStatistics(statistics: BleuStatistics): BleuResult {
  const [hypothesisLength = 0, referenceLength = 0] = statistics;
  const precisions = Array.from({ length: BLEU_ORDERS }, (_, i) => {
    const total = statistics[2 + BLEU_ORDERS + i] ?? 0;
    return total > 0 ? statistics[2 + i]! / total : 0;
  });
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

/** Of two lengths that are equally close, the shorter. */
function expectedLength(
  hypothesisLength: number,
  references: BleuSegment["references"],
  lengthOf: ReferenceLength,
): number {
  const lengths = references.map((reference) => reference.length);
  if (lengthOf === "shortest") return Math.min(...lengths);
  const distance = (length: number) => Math.abs(length - hypothesisLength);
  return lengths
    .toSorted((a, b) => a - b)
    .reduce((closest, length) => (distance(length) < distance(closest) ? length : closest));
}

function penalty(hypothesisLength: number, referenceLength: number): number {
  if (hypothesisLength === 0) return 0;
  return hypothesisLength > referenceLength ? 1 : Math.exp(1 - referenceLength / hypothesisLength);
}

function geometricMean(precisions: readonly number[]): number {
  const logs = precisions.reduce((sum, precision) => sum + Math.log(precision), 0);
  return Math.exp(logs / precisions.length); // exp(-∞) is the 0 that an order without matches makes of it all
}
