/**
 * The files of an evaluation run's folder: `settings.json`, what was asked for; `captions.jsonl`, a line a picture and
 * language, in the order they were made; `metrics.json`, the report that `evaluate --json` prints; `report.html`, the
 * same for people.
 */
import { join } from "node:path";
import { z } from "zod";
import { invalid } from "../data/formats/invalid.js";
import { linesOf } from "../data/formats/lines.js";
import { resolveLanguage } from "../text/languages.js";

export const SETTINGS_FILE = "settings.json";
export const CAPTIONS_FILE = "captions.jsonl";
export const METRICS_FILE = "metrics.json";
export const REPORT_FILE = "report.html";

export const runCaptionSchema = z.object({
  /** The picture, as the dataset names it. */
  image: z.string().min(1),
  /** ISO or mBART code. */
  lang: z.string(),
  /** What the model said; empty where it said nothing. */
  caption: z.string(),
  references: z.array(z.string()).min(1),
  /** The search's score of the caption. */
  score: z.number().optional(),
  /** Mean negative log-likelihood of the references' tokens, in nats. */
  nll: z.number().optional(),
  /** How many tokens those are. */
  tokens: z.int().optional(),
});

/** A picture that could not be read, and so has no caption. */
const runFailureSchema = z.object({
  image: z.string().min(1),
  error: z.object({ code: z.string(), message: z.string() }),
});

export const runLineSchema = z.union([runFailureSchema, runCaptionSchema]);

export type RunCaption = z.infer<typeof runCaptionSchema>;
export type RunFailure = z.infer<typeof runFailureSchema>;
export type RunLine = z.infer<typeof runLineSchema>;

/**
 * The captions of a run by language (ISO code), in the order of the file.
 * @throws {LingolensError} `file-not-found`; `dataset-invalid`, with the line's number, for a line that is no caption,
 * and for a picture that is there twice in a language
 */
export async function readRun(folder: string): Promise<Map<string, RunCaption[]>> {
  const path = join(folder, CAPTIONS_FILE);
  const languages = new Map<string, Map<string, RunCaption>>();
  for await (const { text, place } of linesOf(path)) {
    if (text.trim() === "") continue;
    const caption = parseLine(text, place);
    if ("error" in caption) continue;
    const lang = resolveLanguage(caption.lang).iso;
    const images = languages.get(lang) ?? new Map<string, RunCaption>();
    languages.set(lang, images);
    if (images.has(caption.image))
      throw invalid(place, `one caption of ${caption.image} in ${lang}`, "another");
    images.set(caption.image, caption);
  }
  if (languages.size === 0) throw invalid(path, "a line for every picture and language", "an empty file");
  return new Map([...languages].map(([lang, images]) => [lang, [...images.values()]]));
}

function parseLine(text: string, place: string): RunLine {
  try {
    return runLineSchema.parse(JSON.parse(text));
  } catch (error) {
    throw invalid(
      place,
      `{"image":…,"lang":…,"caption":…,"references":[…]}`,
      JSON.stringify(text.slice(0, 80)),
      error,
    );
  }
}
