/** A model at work on the pictures of an evaluation. */
import type { Captioner, CaptionResult, NamedPicture } from "../captioner/captioner.js";
import type { ResolvedCaptionOptions } from "../captioner/options.js";
import { pictureOf } from "../data/dataset.js";
import { LingolensError, throwIfCancelled } from "../errors.js";
import { resolveLanguage } from "../text/languages.js";
import type { EvaluatedPicture } from "./evaluated-pictures.js";
import type { RunCaption, RunLine } from "./run-files.js";

/** All lines of a run about one picture: a caption a language that has references, or the one failure. */
export type PictureLines = readonly RunLine[];

/**
 * Describes pictures in all of the search's languages at once and scores their references, a batch at a time. A picture
 * that cannot be read is a line too, and the others go on.
 */
export async function* describePictures(
  captioner: Captioner,
  pictures: readonly EvaluatedPicture[],
  search: ResolvedCaptionOptions,
  signal?: AbortSignal,
): AsyncGenerator<PictureLines[], void, undefined> {
  const calls = signal && { signal };
  const results = captioner.captionEach(sourcesOf(pictures), { ...search, ...calls });
  let batch: PictureLines[] = [];
  let own: CaptionResult[] = [];
  let place = 0;
  for await (const result of results) {
    own.push(result);
    if (!("error" in result) && own.length < search.lang.length) continue;
    throwIfCancelled(signal);
    batch.push(await linesAbout(captioner, pictures[place]!, own, { ...search, ...calls }));
    own = [];
    place += 1;
    if (batch.length < search.batchSize && place < pictures.length) continue;
    yield batch;
    batch = [];
  }
}

async function* sourcesOf(pictures: readonly EvaluatedPicture[]): AsyncGenerator<NamedPicture> {
  for (const { entry, image: name } of pictures) {
    try {
      yield { name, source: await pictureOf(entry) };
    } catch (error) {
      if (!(error instanceof LingolensError)) throw error;
      yield { name, error };
    }
  }
}

async function linesAbout(
  captioner: Captioner,
  { entry, image, references }: EvaluatedPicture,
  results: readonly CaptionResult[],
  options: Parameters<Captioner["score"]>[2],
): Promise<PictureLines> {
  const given = [...references].flatMap(([lang, captions]) => captions.map((caption) => ({ lang, caption })));
  const described: Exclude<CaptionResult, { error: unknown }>[] = [];
  for (const result of results) {
    if ("error" in result) return [{ image, error: result.error }];
    described.push(result);
  }
  const scores = await captioner.score(await pictureOf(entry), given, options);
  return described.flatMap(({ lang, captions }): RunCaption[] => {
    const own = references.get(lang);
    if (!own) return [];
    const scored = scores.filter((_, i) => given[i]!.lang === lang);
    const tokens = scored.reduce((sum, one) => sum + one.tokens.length, 0);
    const nll = scored.reduce((sum, one) => sum + one.nll * one.tokens.length, 0) / tokens;
    const { text: caption, score } = captions[0]!;
    return [{ image, lang: resolveLanguage(lang).iso, caption, references: [...own], score, nll, tokens }];
  });
}
