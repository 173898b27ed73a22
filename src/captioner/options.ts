import { z } from "zod";
import { LingolensError } from "../errors.js";
import { PERSON_POLICIES } from "../text/person-mask.js";

const count = z.int().positive();

/** How captions are made. Names are those of the command line, in camelCase. */
export const captionOptionsSchema = z.strictObject({
  /** Languages by ISO ("en") or mBART code ("en_XX"), or "all" that the model was trained for. Default "en". */
  lang: z
    .union([z.string(), z.array(z.string()).min(1)])
    .transform((lang) => (typeof lang === "string" ? [lang] : lang))
    .prefault("en"),
  /** Hypotheses of the beam search; 1 is greedy. Default 4. */
  beams: count.max(64).default(4),
  /** Longest caption in tokens, counted with the start token as Hugging Face's `max_length`. Default 64. */
  maxLength: count.default(64),
  /** Shortest caption, counted likewise. Default 0. */
  minLength: z.int().min(0).default(0),
  /** Above 0, favours longer captions: scores are divided by length to this power. Default 1. */
  lengthPenalty: z.number().default(1),
  /** When a beam search stops, as in Hugging Face: true, false or "never". Default false. */
  earlyStopping: z.union([z.boolean(), z.literal("never")]).default(false),
  /** No n-gram of so many tokens occurs twice; 0 allows all. Default 0. */
  noRepeatNgramSize: z.int().min(0).default(0),
  /** Above 1, tokens that have occurred become less likely. Default 1. */
  repetitionPenalty: z.number().positive().default(1),
  /** Captions per picture and language, at most `beams` unless sampling. Default 1. */
  numCaptions: count.max(64).default(1),
  /** Words and phrases that no caption may hold. Default none. */
  suppress: z.array(z.string().min(1)).default([]),
  /** What becomes of `<PERSON>`: kept, said as "a person" in the caption's language, or dropped. Default "keep". */
  person: z.enum(PERSON_POLICIES).default("keep"),
  /** Draw tokens at random instead of searching for the likeliest. Default false. */
  sample: z.boolean().default(false),
  /** Above 1 bolder, below 1 more careful; for sampling. Default 1. */
  temperature: z.number().positive().optional(),
  /** Draw from so many of the likeliest tokens; 0 for all. Default 50. */
  topK: z.int().min(0).optional(),
  /** Draw from the likeliest tokens that together have this probability. Default 1. */
  topP: z.number().gt(0).max(1).optional(),
  /** Equal seeds draw equal captions. Default 0. */
  seed: z.int().min(0).optional(),
  /** Pictures worked on at once. Default 4. */
  batchSize: count.default(4),
  /** Adds to every caption what each of its tokens looked at. Default false. */
  attention: z.boolean().default(false),
  /** Adds to every caption the log-probability of each of its tokens. Default false. */
  logProbs: z.boolean().default(false),
  /** Show pictures as they are stored, whatever their EXIF orientation says. Default false. */
  ignoreExif: z.boolean().default(false),
  /** Fetch pictures from private addresses too, such as localhost. Default false. */
  allowPrivate: z.boolean().default(false),
});

export type CaptionOptions = z.input<typeof captionOptionsSchema>;
export type ResolvedCaptionOptions = z.infer<typeof captionOptionsSchema>;

const SAMPLING_ONLY = ["temperature", "topK", "topP", "seed"] as const;

/**
 * Fills in defaults and refuses what does not go together.
 * @throws {LingolensError} `option-unsupported` naming the option
 */
export function resolveCaptionOptions(options: CaptionOptions): ResolvedCaptionOptions {
  const parsed = captionOptionsSchema.safeParse(options);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    if (issue?.code === "unrecognized_keys")
      throw unsupported(
        `There is no option "${issue.keys[0]}". Options: ${Object.keys(captionOptionsSchema.shape).join(", ")}.`,
      );
    throw unsupported(`Option ${issue!.path.join(".")}: ${issue!.message}.`);
  }
  const resolved = parsed.data;
  if (resolved.sample) {
    if (options.beams !== undefined && options.beams !== 1)
      throw unsupported(
        `Sampling works without beams; got beams ${options.beams}. Leave one of the two out.`,
      );
    resolved.beams = 1; // So that what was resolved can be resolved again.
  } else {
    const given = SAMPLING_ONLY.find((name) => resolved[name] !== undefined);
    if (given)
      throw unsupported(`Option ${given} has an effect in sampling only; add sample, or leave it out.`);
    if (resolved.numCaptions > resolved.beams)
      throw unsupported(
        `numCaptions ${resolved.numCaptions} is more than beams ${resolved.beams}; raise beams or sample.`,
      );
  }
  if (resolved.minLength > resolved.maxLength)
    throw unsupported(`minLength ${resolved.minLength} is above maxLength ${resolved.maxLength}.`);
  if (resolved.maxLength < 2)
    throw unsupported("maxLength counts the start token and the language: expected 2 or more; got 1.");
  return resolved;
}

function unsupported(message: string): LingolensError {
  return new LingolensError("option-unsupported", message);
}
