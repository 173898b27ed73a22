/** How well captions of one language fit their references. */
import { LingolensError } from "../errors.js";
import { corpusBleu } from "./bleu.js";
import { wordTokens } from "./word-tokenizer.js";

export interface CaptionScores {
  /** How many captions were scored. */
  readonly captions: number;
  /** Fraction of captions that equal one of their references character by character. */
  readonly exactMatch: number;
  /** Corpus BLEU-1 to BLEU-4 on the original's word tokens, fractions. */
  readonly bleu: readonly [number, number, number, number];
}

/**
 * @param hypotheses One caption a picture.
 * @param references The references of the same pictures, at least one each.
 * @throws {LingolensError} `dataset-invalid` where there is nothing to score, or the two do not fit together.
 */
export function scoreCaptions(
  hypotheses: readonly string[],
  references: readonly (readonly string[])[],
): CaptionScores {
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
  const exact = hypotheses.filter((hypothesis, i) => references[i]!.includes(hypothesis)).length;
  const segments = hypotheses.map((hypothesis, i) => ({
    hypothesis: wordTokens(hypothesis),
    references: references[i]!.map(wordTokens),
  }));
  return {
    captions: hypotheses.length,
    exactMatch: exact / hypotheses.length,
    bleu: corpusBleu(segments).bleu,
  };
}
