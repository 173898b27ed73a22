import { type DatasetEntry, readDataset } from "../data/dataset.js";
import { LingolensError } from "../errors.js";
import { loadPicture } from "../image/picture-source.js";
import { preprocess } from "../image/preprocess.js";
import type { PreprocessorConfig } from "../image/preprocessor-config.js";
import { randomNumbers } from "../model/random.js";
import { resolveLanguage } from "../text/languages.js";
import type { Mbart50Tokenizer } from "../text/mbart50-tokenizer.js";
import type { CaptionedPicture } from "./batch.js";
import type { TrainingData } from "./data.js";

export interface FolderDataOptions {
  readonly path: string;
  /** Folder to evaluate on. Default: the last `evaluateCount` pictures of `path`, at most a tenth of them. */
  readonly validation?: string;
  readonly tokenizer: Mbart50Tokenizer;
  readonly preprocessor: PreprocessorConfig;
  readonly languages: readonly string[];
  readonly seed: number;
  readonly batchSize: number;
  readonly evaluateCount: number;
}

/**
 * Pictures of a dataset folder, in a new order every epoch. Where a language has several captions, each epoch
 * takes one of them.
 */
export async function folderData(options: FolderDataOptions): Promise<TrainingData> {
  const { languages, tokenizer, preprocessor, seed, batchSize } = options;
  const all = await readCaptioned(options.path, languages);
  const held = options.validation ? 0 : Math.min(options.evaluateCount, Math.floor(all.length / 10));
  const training = all.slice(0, all.length - held);
  const validation = options.validation
    ? (await readCaptioned(options.validation, languages)).slice(0, options.evaluateCount)
    : all.slice(all.length - held);

  const read = async (entry: Captioned, epoch: number): Promise<CaptionedPicture> => {
    const image = await loadPicture(entry.imagePath);
    const captions = languages.map((language, i) => {
      const texts = entry.texts[i]!;
      return texts.length > 0 ? tokenizer.encode(texts[epoch % texts.length]!, language) : [];
    });
    return { pixelValues: preprocess(image, preprocessor).data, captions };
  };

  let shuffled = { epoch: -1, order: [] as number[] };
  const orderOf = (epoch: number): number[] => {
    if (shuffled.epoch !== epoch) shuffled = { epoch, order: shuffle(training.length, seed + epoch) };
    return shuffled.order;
  };
  return {
    validationCount: validation.length,
    batch: (step) =>
      Promise.all(
        Array.from({ length: batchSize }, (_, i) => {
          const at = step * batchSize + i;
          const epoch = Math.floor(at / training.length);
          return read(training[orderOf(epoch)[at % training.length]!]!, epoch);
        }),
      ),
    validation: (start, end) => Promise.all(validation.slice(start, end).map((entry) => read(entry, 0))),
  };
}

interface Captioned {
  readonly imagePath: string;
  /** In the order of the recipe's languages. */
  readonly texts: readonly (readonly string[])[];
}

async function readCaptioned(path: string, languages: readonly string[]): Promise<Captioned[]> {
  const codes = languages.map((language) => resolveLanguage(language).code);
  const captioned: Captioned[] = [];
  for await (const { imagePath, captions } of readDataset(path)) {
    const texts = codes.map((code) => textsOf(captions, code));
    if (texts.some((list) => list.length > 0)) captioned.push({ imagePath, texts });
  }
  if (captioned.length === 0)
    throw new LingolensError(
      "dataset-invalid",
      `${path}: no picture has a caption in ${languages.join(", ")}.`,
    );
  return captioned;
}

function textsOf(captions: DatasetEntry["captions"], code: string): readonly string[] {
  const found = Object.entries(captions).find(([language]) => resolveLanguage(language).code === code);
  return found?.[1] ?? [];
}

/** 0 to count − 1 in random order (Fisher & Yates). */
function shuffle(count: number, seed: number): number[] {
  const random = randomNumbers(seed);
  const order = Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return order;
}
