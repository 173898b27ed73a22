/**
 * How sure a score is, and whether two systems differ, by drawing the test set again and again from itself, as
 * sacreBLEU does it: 1,000 resamples, the same for both systems (Koehn 2004, https://aclanthology.org/W04-3250).
 */
import { numpyChoices } from "./numpy-random.js";

export const SAMPLES = 1000;
export const SEED = 12345;

/** A row a segment, all of one length; the score of a corpus is a function of the rows' sum. */
export type Statistics = readonly (readonly number[])[];

export type ScoreOfSums = (sums: readonly number[]) => number;

export interface Interval {
  /** Mean of the resamples' scores. */
  readonly mean: number;
  /** Half of what 95 % of the resamples' scores lie within: the interval is mean ± this. */
  readonly halfWidth: number;
}

/** The scores of 1,000 resamples. Systems with equally many segments are resampled alike. */
export function resampledScores(statistics: Statistics, scoreOf: ScoreOfSums): number[] {
  const columns = statistics[0]!.length;
  const rows = Float64Array.from(statistics.flat());
  const draw = numpyChoices(SEED, statistics.length);
  return Array.from({ length: SAMPLES }, () => {
    const sums = new Array<number>(columns).fill(0);
    for (let drawn = 0; drawn < statistics.length; drawn++) {
      const from = draw() * columns;
      for (let column = 0; column < columns; column++) sums[column]! += rows[from + column]!;
    }
    return scoreOf(sums);
  });
}

export function confidenceInterval(scores: readonly number[]): Interval {
  const sorted = scores.toSorted((a, b) => a - b);
  const tail = Math.floor(sorted.length / 40);
  return {
    mean: mean(scores),
    halfWidth: (sorted[sorted.length - 1 - tail]! - sorted[tail]!) / 2,
  };
}

/**
 * Probability that two systems which are equally good differ by more than the two did. It is 1 where they do not
 * differ, where sacreBLEU's formula would give the least.
 * @param difference of the two systems' scores on the test set itself
 * @param scores of the same resamples for one system and the other
 */
export function pairedPValue(
  difference: number,
  [first, second]: readonly [readonly number[], readonly number[]],
): number {
  if (difference === 0) return 1;
  const differences = first.map((score, i) => Math.abs(score - second[i]!));
  const centre = mean(differences);
  const beyond = differences.filter((value) => value - centre > Math.abs(difference)).length;
  return (beyond + 1) / (differences.length + 1);
}

export function sumOf(statistics: Statistics): number[] {
  const sums = new Array<number>(statistics[0]?.length ?? 0).fill(0);
  for (const row of statistics) for (const [i, value] of row.entries()) sums[i]! += value;
  return sums;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
