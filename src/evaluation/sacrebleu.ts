/**
 * BLEU as sacreBLEU 2.6 reports it (Post 2018, https://aclanthology.org/W18-6319): its own tokens, the closest
 * reference's length, precisions without a match smoothed, points from 0 to 100.
 */
import { BLEU_ORDERS, type BleuStatistics, bleuStatistics } from "./bleu.js";
import { confidenceInterval, resampledScores, SAMPLES, SEED, type Statistics, sumOf } from "./bootstrap.js";
import { type SacreBleuTokenizer, sacreBleuTokens } from "./sacrebleu-tokenizers.js";

/** Whose definition the scores follow. */
const VERSION = "2.6.0";

export interface SacreBleuOptions {
  /** Default: "13a". */
  readonly tokenize?: SacreBleuTokenizer;
  /** Ignores case. Default: false. */
  readonly lowercase?: boolean;
  /** What an order without a match counts as: "exp", 1/2, 1/4 … of a match in turn, or "none". Default: "exp". */
  readonly smoothing?: "exp" | "none";
}

export interface SacreBleuResult {
  /** Points from 0 to 100. */
  readonly score: number;
  /** sacreBLEU's record of how the score was made. */
  readonly signature: string;
}

export interface SacreBleuInterval {
  /** Mean of 1,000 resamples. */
  readonly mean: number;
  /** Mean less and plus half of what 95 % of the resamples lie within: sacreBLEU's "μ ± …". */
  readonly interval: readonly [number, number];
}

/**
 * @param references of each hypothesis, at least one
 */
export function sacreBleu(
  hypotheses: readonly string[],
  references: readonly (readonly string[])[],
  options: SacreBleuOptions = {},
): SacreBleuResult {
  const sums = sumOf(sacreBleuStatistics(hypotheses, references, options));
  return { score: sacreBleuOf(sums, options), signature: signatureOf(references, options) };
}

/** The same with its 95 % bootstrap interval, which the signature then says. */
export function sacreBleuWithInterval(
  hypotheses: readonly string[],
  references: readonly (readonly string[])[],
  options: SacreBleuOptions = {},
): SacreBleuResult & SacreBleuInterval {
  const statistics = sacreBleuStatistics(hypotheses, references, options);
  const scoreOf = (sums: BleuStatistics) => sacreBleuOf(sums, options);
  const { mean, halfWidth } = confidenceInterval(resampledScores(statistics, scoreOf));
  return {
    score: scoreOf(sumOf(statistics)),
    signature: signatureOf(references, options, [`bs:${SAMPLES}`, `seed:${SEED}`]),
    mean,
    interval: [mean - halfWidth, mean + halfWidth],
  };
}

/** Points of one caption; orders that it is too short for do not count. */
export function sentenceSacreBleu(
  hypothesis: string,
  references: readonly string[],
  options: SacreBleuOptions = {},
): number {
  const [statistics] = sacreBleuStatistics([hypothesis], [references], options);
  return sacreBleuOf(statistics!, { ...options, effectiveOrder: true });
}

/** A row of `BleuStatistics` a segment. */
export function sacreBleuStatistics(
  hypotheses: readonly string[],
  references: readonly (readonly string[])[],
  { tokenize = "13a", lowercase = false }: SacreBleuOptions,
): Statistics {
  const tokens = (text: string) => sacreBleuTokens(lowercase ? text.toLowerCase() : text, tokenize);
  const segments = hypotheses.map((hypothesis, i) => ({
    hypothesis: tokens(hypothesis),
    references: references[i]!.map(tokens),
  }));
  return bleuStatistics(segments, "closest");
}

/** Points from the sum of segments' statistics. */
export function sacreBleuOf(
  statistics: BleuStatistics,
  { smoothing = "exp", effectiveOrder = false }: SacreBleuOptions & { readonly effectiveOrder?: boolean },
): number {
  const [hypothesisLength = 0, referenceLength = 0] = statistics;
  const matches = statistics.slice(2, 2 + BLEU_ORDERS);
  const totals = statistics.slice(2 + BLEU_ORDERS);
  if (matches.every((count) => count === 0)) return 0;

  let orders = BLEU_ORDERS;
  let share = 1;
  const precisions = new Array<number>(BLEU_ORDERS).fill(0);
  for (const [i, total] of totals.entries()) {
    if (total === 0) break;
    if (effectiveOrder) orders = i + 1;
    if (matches[i]! > 0) precisions[i] = matches[i]! / total;
    else if (smoothing === "exp") {
      share /= 2;
      precisions[i] = share / total;
    }
  }
  const logs = precisions.slice(0, orders).reduce((sum, precision) => sum + Math.log(precision), 0);
  const penalty = hypothesisLength < referenceLength ? Math.exp(1 - referenceLength / hypothesisLength) : 1;
  return 100 * penalty * Math.exp(logs / orders);
}

function signatureOf(
  references: readonly (readonly string[])[],
  { tokenize = "13a", lowercase = false, smoothing = "exp" }: SacreBleuOptions,
  resampling: readonly string[] = [],
): string {
  const counts = new Set(references.map((list) => list.length));
  return [
    `nrefs:${counts.size === 1 ? [...counts][0] : "var"}`,
    ...resampling,
    `case:${lowercase ? "lc" : "mixed"}`,
    "eff:no",
    `tok:${tokenize}`,
    `smooth:${smoothing}`,
    `version:${VERSION}`,
  ].join("|");
}
