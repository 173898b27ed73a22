/** How well captions of one language fit their references, and what is wrong with them. */
import { LingolensError } from "../errors.js";
import { corpusBleu, meanChunkBleu } from "./bleu.js";
import { sumOf } from "./bootstrap.js";
import { type CaptionFaults, captionFaults } from "./caption-faults.js";
import { captionTokens, UNSPACED_LANGUAGES } from "./caption-tokens.js";
import { chrfOf, chrfStatistics } from "./chrf.js";
import { cider } from "./cider.js";
import { languageFidelity, loadLanguageIdentifier } from "./language-fidelity.js";
import { loadMeteorLanguage, meteorOf, meteorStatistics } from "./meteor.js";
import { rougeL } from "./rouge-l.js";
import { type SacreBleuInterval, type SacreBleuResult, sacreBleuWithInterval } from "./sacrebleu.js";
import type { SacreBleuTokenizer } from "./sacrebleu-tokenizers.js";
import { wordTokens } from "./word-tokenizer.js";

type FourBleu = readonly [number, number, number, number];

/** docs/evaluation.md says what each is good for. */
export interface CaptionScores extends CaptionFaults {
  /** How many captions were scored. */
  readonly captions: number;
  /** Fraction of captions that equal one of their references character by character. */
  readonly exactMatch: number;
  /** Corpus BLEU-1 to BLEU-4 on the original's word tokens, fractions. */
  readonly bleu: FourBleu;
  /** The mean of the same over chunks of 512 captions, as the original published it. */
  readonly bleuChunks: FourBleu;
  readonly sacreBleu: SacreBleuResult & SacreBleuInterval;
  /** Points from 0 to 100. */
  readonly chrf: number;
  readonly chrfPlusPlus: number;
  /** CIDEr-D, which COCO's evaluation calls CIDEr, from 0 to 10. */
  readonly cider: number;
  /** CIDEr as the paper has it first, without CIDEr-D's limits. */
  readonly ciderPlain: number;
  /** Fractions, on COCO's words. */
  readonly cocoBleu: FourBleu;
  readonly rougeL: number;
  /** METEOR's exact and stem stages, a fraction. */
  readonly meteor: number;
  /** Share of captions in the language; null where the identifier does not know it. */
  readonly languageFidelity: number | null;
}

export interface ScoreOptions {
  /** ISO code of the captions' language. */
  readonly lang: string;
  /** sacreBLEU's tokenizer. Default: "char" for languages written without spaces, else "13a". */
  readonly tokenize?: SacreBleuTokenizer;
  /** Ignores case in sacreBLEU. Default: false. */
  readonly lowercase?: boolean;
}

/**
 * @param hypotheses One caption a picture.
 * @param references The references of the same pictures, at least one each.
 * @throws {LingolensError} `dataset-invalid` where there is nothing to score, or the two do not fit together.
 */
export async function scoreCaptions(
  hypotheses: readonly string[],
  references: readonly (readonly string[])[],
  { lang, tokenize = defaultTokenizer(lang), lowercase = false }: ScoreOptions,
): Promise<CaptionScores> {
  checkPairs(hypotheses, references);
  const original = segmentsOf(hypotheses, references, wordTokens);
  const words = segmentsOf(hypotheses, references, (text) => captionTokens(text, lang));
  const exact = hypotheses.filter((hypothesis, i) => references[i]!.includes(hypothesis)).length;
  const characters = chrfStatistics(hypotheses, references);
  const consensus = cider(words);
  const meteor = await loadMeteorLanguage(lang);
  const identify = await loadLanguageIdentifier();
  return {
    captions: hypotheses.length,
    exactMatch: exact / hypotheses.length,
    bleu: corpusBleu(original).bleu,
    sacreBleu: sacreBleuWithInterval(hypotheses, references, { tokenize, lowercase }),
    chrf: chrfOf(sumOf(characters.chrf)),
    cider: mean(consensus.ciderD),
    rougeL: mean(words.map((segment) => rougeL(segment.hypothesis, segment.references))),
    languageFidelity: languageFidelity(hypotheses, lang, identify),
    ...captionFaults(hypotheses, lang),
    bleuChunks: meanChunkBleu(original),
    cocoBleu: corpusBleu(words, "closest").bleu,
    chrfPlusPlus: chrfOf(sumOf(characters["chrf++"])),
    ciderPlain: mean(consensus.plain),
    meteor: meteorOf(
      sumOf(words.map((segment) => meteorStatistics(segment.hypothesis, segment.references, meteor))),
      meteor,
    ),
  };
}

/** sacreBLEU's for a language (ISO code), where none is asked for. */
export function defaultTokenizer(lang: string): SacreBleuTokenizer {
  return UNSPACED_LANGUAGES.has(lang) ? "char" : "13a";
}

/** @throws {LingolensError} `dataset-invalid` where captions and lists of references do not fit together. */
export function checkPairs(hypotheses: readonly string[], references: readonly (readonly string[])[]): void {
  if (hypotheses.length === 0 || hypotheses.length !== references.length) {
    throw new LingolensError(
      "dataset-invalid",
      `Expected as many captions as lists of references and at least one, got ${hypotheses.length} captions ` +
        `and ${references.length} lists. Score a data set that has captions in this language.`,
    );
  }
  const bare = references.findIndex((list) => list.length === 0);
  if (bare >= 0) {
    throw new LingolensError(
      "dataset-invalid",
      `Caption ${bare + 1}: expected at least one reference, got none.`,
    );
  }
}

export interface TokenSegment {
  readonly hypothesis: readonly string[];
  readonly references: readonly (readonly string[])[];
}

export function segmentsOf(
  hypotheses: readonly string[],
  references: readonly (readonly string[])[],
  tokens: (text: string) => string[],
): TokenSegment[] {
  return hypotheses.map((hypothesis, i) => ({
    hypothesis: tokens(hypothesis),
    references: references[i]!.map(tokens),
  }));
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
