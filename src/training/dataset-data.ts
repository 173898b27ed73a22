import { captionsIn, type DatasetEntry, type DatasetOptions, openDataset } from "../data/dataset.js";
import { LingolensError } from "../errors.js";
import { resolveLanguage } from "../text/languages.js";
import { type PersonPolicy, withPersonPolicy } from "../text/person-mask.js";
import type { CaptionedPicture } from "./batch.js";
import type { TrainingData } from "./data.js";
import { type DatasetIndex, indexDataset, splitOff } from "./dataset-index.js";
import { type ChosenCaption, LanguageMix } from "./language-mix.js";
import { type OrderedBatch, PictureOrder } from "./picture-order.js";
import type { Sample } from "./sample.js";
import type { SamplePool } from "./sample-pool.js";
import { mixSeeds } from "./shuffle.js";
import { SkippedPictures } from "./skipped-pictures.js";

export interface DatasetDataOptions extends DatasetOptions {
  readonly path: string;
  /** Dataset to evaluate on. Default: `path`, where `validationSplit` is given. */
  readonly validation?: string | undefined;
  readonly validationSplit?: string | undefined;
  readonly languages: readonly string[];
  readonly languageWeights: Readonly<Record<string, number>>;
  readonly randomCrop: number;
  readonly randomMirror: number;
  readonly person: PersonPolicy;
  readonly skipLimit: number;
  readonly seed: number;
  readonly batchSize: number;
  readonly evaluateCount: number;
  readonly pool: SamplePool;
  readonly onWarning: (message: string) => void;
}

/**
 * Pictures of a dataset, in a new order every epoch. Without data to evaluate on, the last `evaluateCount` pictures are
 * kept for that, at most a tenth of all.
 * @throws {LingolensError} what `openDataset` throws
 */
export async function datasetData(options: DatasetDataOptions): Promise<TrainingData> {
  const { languages, languageWeights, seed, batchSize, evaluateCount, pool } = options;
  const unknown = Object.keys(languageWeights).find((language) => !languages.includes(language));
  if (unknown)
    throw new LingolensError(
      "config-invalid",
      `data.languageWeights: expected languages of the recipe (${languages.join(", ")}); got "${unknown}".`,
    );
  /** The text after the person policy; a caption of which nothing is left stands for none. */
  const said = ({ language, text }: ChosenCaption): ChosenCaption => {
    return { language, text: withPersonPolicy(text, resolveLanguage(language).iso, options.person) };
  };
  for (const language of languages) said({ language, text: "" });
  const hasCaption = (entry: DatasetEntry) =>
    languages.some((language) => captionsIn(entry, language).length > 0);
  const all = await indexed(options.path, options, hasCaption);
  const elsewhere = options.validation ?? (options.validationSplit && options.path);
  const { rest, last } = elsewhere
    ? { rest: all, last: await firstEntries(elsewhere, options, hasCaption) }
    : await splitOff(all, Math.min(evaluateCount, Math.floor(all.count / 10)));

  const mix = new LanguageMix({ languages, weights: languageWeights, seed });
  const order = new PictureOrder(rest, {
    seed,
    batchSize,
    lengthsOf: (entries, epoch) =>
      lengthsOf(
        entries.map((entry) => mix.choose(entry, epoch).map(said)),
        pool,
      ),
  });
  const skipped = new SkippedPictures(options.skipLimit, options.onWarning);

  const sampleOf = (entry: DatasetEntry, epoch: number, place: number): Sample => ({
    picture: locationOf(entry),
    captions: mix.choose(entry, epoch).map(said),
    ...((options.randomCrop < 1 || options.randomMirror > 0) && {
      variation: { seed: mixSeeds(seed, place), leastArea: options.randomCrop, mirror: options.randomMirror },
    }),
  });
  /** The sample, or nothing where the picture cannot be read. */
  const tryToMake = async (sample: Sample, image: string): Promise<CaptionedPicture | undefined> => {
    skipped.count();
    try {
      return await pool.make(sample);
    } catch (error) {
      skipped.skip(image, error);
      return undefined;
    }
  };
  const read = async (batch: OrderedBatch, i: number, place: number): Promise<CaptionedPicture> => {
    for (const entry of batch.candidates(i)) {
      const made = await tryToMake(sampleOf(entry, batch.epoch, place), entry.image);
      if (made) return made;
    }
    throw new LingolensError("dataset-invalid", `${options.path}: none of the pictures could be read.`);
  };
  return {
    validationCount: last.length,
    async batch(step, { start, end } = { start: 0, end: batchSize }) {
      const batch = await order.batch(step);
      const places = Array.from({ length: end - start }, (_, i) => start + i);
      return Promise.all(places.map((i) => read(batch, i, step * batchSize + i)));
    },
    async validation(start, end) {
      const pictures = last.slice(start, end).map((entry) => {
        // Every language in its place: the loss is told by language.
        const captions = languages.map((language) =>
          said({ language, text: captionsIn(entry, language)[0] ?? "" }),
        );
        return tryToMake({ picture: locationOf(entry), captions }, entry.image);
      });
      return (await Promise.all(pictures)).filter((picture) => picture !== undefined);
    },
    close: () => pool.close(),
  };
}

/** All captions of a dataset in these languages. */
export async function* datasetCaptions(
  { path, ...options }: DatasetOptions & { readonly path: string },
  languages: readonly string[],
): AsyncGenerator<string> {
  const dataset = await openDataset(path, options);
  for await (const entry of dataset.entries())
    for (const language of languages) yield* captionsIn(entry, language);
}

async function indexed(
  path: string,
  options: DatasetDataOptions,
  keep: DatasetIndex["keep"],
): Promise<DatasetIndex> {
  const dataset = await openDataset(path, options);
  const index = await indexDataset(dataset, keep);
  if (index.count > 0) return index;
  // An empty file, or a split that is not there, is told as such.
  for await (const _ of dataset.entries()) break;
  const languages = options.languages.join(", ");
  throw new LingolensError("dataset-invalid", `${path}: no picture has a caption in ${languages}.`);
}

async function firstEntries(
  path: string,
  options: DatasetDataOptions,
  keep: DatasetIndex["keep"],
): Promise<DatasetEntry[]> {
  const entries: DatasetEntry[] = [];
  const dataset = await openDataset(path, { ...options, split: options.validationSplit });
  for await (const entry of dataset.entries()) {
    if (entries.length === options.evaluateCount) break;
    if (keep(entry)) entries.push(entry);
  }
  return entries;
}

/** Without the captions, which need not be sent along. */
function locationOf({ image, imagePath, range }: DatasetEntry) {
  return { image, imagePath, ...(range && { range }) };
}

/** Pictures whose captions a thread is given at a time. */
const MEASURED_AT_ONCE = 128;

/** Number of captions first, then the longest one's tokens: what a batch's rectangle is made of. */
async function lengthsOf(chosen: readonly ChosenCaption[][], pool: SamplePool): Promise<number[]> {
  const parts: Promise<number[]>[] = [];
  for (let start = 0; start < chosen.length; start += MEASURED_AT_ONCE)
    parts.push(pool.longest(chosen.slice(start, start + MEASURED_AT_ONCE)));
  const longest = (await Promise.all(parts)).flat();
  return longest.map((tokens, i) => chosen[i]!.length * 1e6 + tokens);
}
