/** Which of two runs on the same pictures captions better, language by language, and whether that can be chance. */
import { LingolensError } from "../errors.js";
import { bleuOfStatistics, bleuStatistics } from "./bleu.js";
import { pairedPValue, resampledScores, type ScoreOfSums, type Statistics, sumOf } from "./bootstrap.js";
import { defaultTokenizer, segmentsOf } from "./caption-scores.js";
import { captionTokens } from "./caption-tokens.js";
import { chrfOf, chrfStatistics } from "./chrf.js";
import { cider } from "./cider.js";
import type { RunCaption } from "./run-files.js";
import { sacreBleuOf, sacreBleuStatistics } from "./sacrebleu.js";
import { wordTokens } from "./word-tokenizer.js";

/** Differences that chance brings less often than this are significant. */
const SIGNIFICANCE = 0.05;

export interface MetricComparison {
  readonly a: number;
  readonly b: number;
  /** b - a. */
  readonly difference: number;
  /** Of paired bootstrap resampling. */
  readonly pValue: number;
  /** Whether the p value is below 0.05. */
  readonly significant: boolean;
  /** The run with the higher score; null where they are equal. */
  readonly better: "a" | "b" | null;
}

export interface LanguageComparison {
  /** Pictures that both runs have. */
  readonly captions: number;
  /** BLEU-4 on the original's word tokens, a fraction. */
  readonly bleu: MetricComparison;
  readonly sacreBleu: MetricComparison;
  readonly chrf: MetricComparison;
  readonly cider: MetricComparison;
}

export interface RunComparison {
  /** By ISO code; those that both runs have. */
  readonly languages: Readonly<Record<string, LanguageComparison>>;
}

type Run = ReadonlyMap<string, readonly RunCaption[]>;

/**
 * Only pictures and languages that both runs have are compared.
 * @throws {LingolensError} `dataset-invalid` where they share none, or a picture's references differ
 */
export function compareRuns(a: Run, b: Run): RunComparison {
  const languages: Record<string, LanguageComparison> = {};
  for (const [lang, captions] of a) {
    const others = new Map(b.get(lang)?.map((caption) => [caption.image, caption]));
    const pairs = captions.flatMap((caption) => {
      const other = others.get(caption.image);
      return other ? [[caption, other] as const] : [];
    });
    if (pairs.length > 0) languages[lang] = compareLanguage(pairs, lang);
  }
  if (Object.keys(languages).length === 0) {
    throw new LingolensError(
      "dataset-invalid",
      `The runs share no picture in one language: one has ${[...a.keys()].join(", ")}, the other ` +
        `${[...b.keys()].join(", ")}. Compare runs on the same data.`,
    );
  }
  return { languages };
}

function compareLanguage(
  pairs: readonly (readonly [RunCaption, RunCaption])[],
  lang: string,
): LanguageComparison {
  for (const [one, other] of pairs) {
    if (JSON.stringify(one.references) === JSON.stringify(other.references)) continue;
    throw new LingolensError(
      "dataset-invalid",
      `The runs have different references of ${one.image} in ${lang}. Compare runs on the same data.`,
    );
  }
  const references = pairs.map(([one]) => one.references);
  const compare = (scoreOf: ScoreOfSums, statisticsOf: (captions: readonly string[]) => Statistics) =>
    compareStatistics(
      statisticsOf(pairs.map(([one]) => one.caption)),
      statisticsOf(pairs.map(([, other]) => other.caption)),
      scoreOf,
    );
  const words = (text: string) => captionTokens(text, lang);
  const options = { tokenize: defaultTokenizer(lang) };
  return {
    captions: pairs.length,
    bleu: compare(
      (sums) => bleuOfStatistics(sums).bleu[3],
      (captions) => bleuStatistics(segmentsOf(captions, references, wordTokens), "shortest"),
    ),
    sacreBleu: compare(
      (sums) => sacreBleuOf(sums, options),
      (captions) => sacreBleuStatistics(captions, references, options),
    ),
    chrf: compare(chrfOf, (captions) => chrfStatistics(captions, references).chrf),
    // The references' rarities are those of all pictures, in every resample.
    cider: compare(
      ([score = 0, count = 1]) => score / count,
      (captions) => cider(segmentsOf(captions, references, words)).ciderD.map((score) => [score, 1]),
    ),
  };
}

function compareStatistics(one: Statistics, other: Statistics, scoreOf: ScoreOfSums): MetricComparison {
  const [a, b] = [scoreOf(sumOf(one)), scoreOf(sumOf(other))];
  const pValue = pairedPValue(b - a, [resampledScores(one, scoreOf), resampledScores(other, scoreOf)]);
  return {
    a,
    b,
    difference: b - a,
    pValue,
    significant: pValue < SIGNIFICANCE,
    better: a === b ? null : a > b ? "a" : "b",
  };
}
