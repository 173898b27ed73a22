/** The pictures that an evaluation is about. */
import { createHash } from "node:crypto";
import { basename } from "node:path";
import { captionsIn, type DatasetEntry, type DatasetOptions, readDataset } from "../data/dataset.js";
import { LingolensError } from "../errors.js";
import { resolveLanguage } from "../text/languages.js";

export interface EvaluatedPicture {
  readonly entry: DatasetEntry;
  /** Its name in the run's files: the dataset's, with that of its shard before it. */
  readonly image: string;
  /** References by mBART code, at least one each; at least one language. */
  readonly references: ReadonlyMap<string, readonly string[]>;
}

export interface EvaluatedPictures {
  /** mBART codes, each with at least one reference. */
  readonly languages: readonly string[];
  /** Those with a reference in one of the languages, in the dataset's order. */
  readonly pictures: readonly EvaluatedPicture[];
}

export interface PictureChoice {
  readonly data: string;
  readonly dataset?: DatasetOptions;
  /** The first so many pictures of the dataset. Default: all. */
  readonly limit?: number;
  /** ISO or mBART codes, all of which the dataset must have. */
  readonly languages?: readonly string[];
  /** Used where none are asked for, as far as the dataset has them. */
  readonly defaultLanguages: readonly string[];
}

/** @throws {LingolensError} `dataset-invalid` where no caption is in a language; what reading the dataset throws */
export async function evaluatedPictures({
  data,
  dataset,
  limit = Number.POSITIVE_INFINITY,
  languages: asked,
  defaultLanguages,
}: PictureChoice): Promise<EvaluatedPictures> {
  const codes = [...new Set((asked ?? defaultLanguages).map((language) => resolveLanguage(language).code))];
  const pictures: EvaluatedPicture[] = [];
  const present = new Set<string>();
  let read = 0;
  for await (const entry of readDataset(data, dataset)) {
    const references = new Map<string, readonly string[]>();
    for (const code of codes) {
      const captions = captionsIn(entry, code);
      if (captions.length > 0) references.set(code, captions);
    }
    for (const code of references.keys()) present.add(code);
    const image = entry.range ? `${basename(entry.imagePath)}/${entry.image}` : entry.image;
    if (references.size > 0) pictures.push({ entry, image, references });
    if (++read >= limit) break;
  }
  const languages = codes.filter((code) => present.has(code));
  const missing = asked && codes.find((code) => !present.has(code));
  if (missing) throw new LingolensError("dataset-invalid", `The dataset has no captions in ${missing}.`);
  if (languages.length === 0)
    throw new LingolensError(
      "dataset-invalid",
      `The dataset has no captions in the model's languages, ${codes.join(", ")}.`,
    );
  return { languages, pictures };
}

/** What tells these pictures and references from others, whatever file they were read from. */
export function picturesIdentity({ languages, pictures }: EvaluatedPictures): string {
  const hash = createHash("sha256").update(JSON.stringify(languages));
  for (const { image, references } of pictures) hash.update(`\n${JSON.stringify([image, ...references])}`);
  return hash.digest("hex");
}
