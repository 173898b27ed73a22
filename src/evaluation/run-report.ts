/** What the captions of a run are worth. */
import { LingolensError } from "../errors.js";
import { type CaptionScores, scoreCaptions } from "./caption-scores.js";
import type { PictureLines } from "./describe-pictures.js";
import { PUBLISHED } from "./original-results.js";
import type { RunCaption, RunFailure } from "./run-files.js";

export interface LanguageReport extends CaptionScores {
  /** Mean over the tokens of all reference captions. */
  readonly loss: number;
  /** Its exponential. */
  readonly perplexity: number;
  /** With `like: "original"`: what the model card has to compare `bleuChunks` with. */
  readonly published?: { readonly bleu: CaptionScores["bleuChunks"] };
}

export interface EvaluationReport {
  /** Mean over the tokens of all languages. */
  readonly loss: number;
  /** By ISO code. */
  readonly languages: Readonly<Record<string, LanguageReport>>;
  /** Pictures that could not be read; they count nowhere else. */
  readonly failed: number;
  /** With `like: "original"`: what the model card has to compare `loss` with. */
  readonly published?: { readonly loss: number };
}

/**
 * @param lines of all pictures, in their order
 * @param codes ISO codes, in the report's order
 * @throws {LingolensError} `unreadable-image` where no picture could be read
 */
export async function reportOf(
  lines: readonly PictureLines[],
  codes: readonly string[],
  like?: "original",
): Promise<EvaluationReport> {
  const all = lines.flat();
  const failures = all.filter((line): line is RunFailure => "error" in line);
  const captions = all.filter((line): line is RunCaption => !("error" in line));
  if (captions.length === 0)
    throw new LingolensError(
      "unreadable-image",
      `None of ${failures.length} pictures could be read. The first: ${failures[0]?.error.message}`,
    );
  const languages: Record<string, LanguageReport> = {};
  for (const lang of codes) {
    const own = captions.filter((caption) => caption.lang === lang);
    const scores = await scoreCaptions(
      own.map(({ caption }) => caption),
      own.map(({ references }) => references),
      { lang },
    );
    const loss = lossOf(own);
    const bleu = like && PUBLISHED.bleu[lang];
    languages[lang] = { loss, perplexity: Math.exp(loss), ...scores, ...(bleu && { published: { bleu } }) };
  }
  return {
    loss: lossOf(captions),
    languages,
    failed: failures.length,
    ...(like && { published: { loss: PUBLISHED.loss } }),
  };
}

/** Every token of the references weighs the same. */
function lossOf(captions: readonly RunCaption[]): number {
  let sum = 0;
  let tokens = 0;
  for (const { nll = 0, tokens: count = 0 } of captions) {
    sum += nll * count;
    tokens += count;
  }
  return sum / tokens;
}
