import type { Describer } from "../captioner/describer.js";
import { resolveCaptionOptions } from "../captioner/options.js";
import { type CaptionScores, scoreCaptions } from "../evaluation/caption-scores.js";
import { resolveLanguage } from "../text/languages.js";
import type { Mbart50Tokenizer } from "../text/mbart50-tokenizer.js";
import type { TrainingData } from "./data.js";

const BEAMS = 4;

export interface EvaluateCaptionsOptions {
  readonly describer: Describer;
  readonly tokenizer: Mbart50Tokenizer;
  readonly data: TrainingData;
  readonly languages: readonly string[];
  /** The first so many of the validation pictures are captioned. */
  readonly count: number;
  /** Longest caption in tokens, with language and `</s>`. */
  readonly maxLength: number;
  /** Of how many of the first pictures to give the captions. */
  readonly samples: number;
}

export interface CaptionEvaluation {
  /** By ISO code, as `lingolens evaluate --json` gives them. */
  readonly scores: Readonly<Record<string, CaptionScores>>;
  /** Without pictures that cannot be read. */
  readonly samples: readonly CaptionSample[];
}

/** By ISO code, what the model says of a picture, and what it should say where that is known. */
export type CaptionSample = Readonly<
  Record<string, { readonly caption: string; readonly reference?: string }>
>;

/** Captions pictures in each language, its own start token forced, and compares with the captions to be learnt. */
export async function evaluateCaptions(options: EvaluateCaptionsOptions): Promise<CaptionEvaluation> {
  const count = Math.min(options.count, options.data.validationCount);
  const first = Math.min(options.samples, count);
  const samples = await captionPictures(0, first, options);
  const others = await captionPictures(first, count, options);
  return { scores: await scoresOf([...samples, ...others]), samples };
}

async function captionPictures(
  from: number,
  to: number,
  { data, describer, tokenizer, languages, maxLength }: EvaluateCaptionsOptions,
): Promise<CaptionSample[]> {
  // The start token, which comes before the language, counts too.
  const caption = resolveCaptionOptions({ beams: BEAMS, maxLength: maxLength + 1 });
  const resolved = languages.map((language) => resolveLanguage(language));
  const samples: CaptionSample[] = [];
  for (let start = from; start < to; start += caption.batchSize) {
    const pictures = await data.validation(start, Math.min(start + caption.batchSize, to));
    if (pictures.length === 0) continue;
    const codes = resolved.map(({ code }) => code);
    const described = await describer.describe(pictures, codes, caption);
    pictures.forEach(({ captions }, i) => {
      const said = resolved.map(({ iso }, j) => {
        const reference = tokenizer.decode(captions[j] ?? []);
        return [iso, { caption: described[i]![j]![0]!.text, ...(reference && { reference }) }] as const;
      });
      samples.push(Object.fromEntries(said));
    });
  }
  return samples;
}

async function scoresOf(samples: readonly CaptionSample[]): Promise<Record<string, CaptionScores>> {
  const scores: Record<string, CaptionScores> = {};
  for (const lang of Object.keys(samples[0] ?? {})) {
    const pairs = samples.flatMap((sample) => {
      const { caption, reference } = sample[lang]!;
      return reference ? [{ caption, reference }] : [];
    });
    if (pairs.length === 0) continue;
    const references = pairs.map(({ reference }) => [reference]);
    scores[lang] = await scoreCaptions(
      pairs.map((pair) => pair.caption),
      references,
      { lang },
    );
  }
  return scores;
}
