/** A sample for training: what it is made of, which may be sent between threads, and how it is made. */
import { type DatasetEntry, pictureOf } from "../data/dataset.js";
import { sceneCaption } from "../data/scenes/caption.js";
import { renderScene } from "../data/scenes/render.js";
import { type SceneOptions, sceneAt } from "../data/scenes/scene.js";
import { mirrored, randomSquare } from "../image/augment.js";
import { loadPicture } from "../image/picture-source.js";
import { preprocess } from "../image/preprocess.js";
import type { PreprocessorConfig } from "../image/preprocessor-config.js";
import { randomNumbers } from "../model/random.js";
import { loadTokenizer } from "../text/load-tokenizer.js";
import type { Mbart50Tokenizer } from "../text/mbart50-tokenizer.js";
import type { CaptionedPicture } from "./batch.js";
import type { ChosenCaption } from "./language-mix.js";

/** A picture of a dataset, with captions in their order. */
export interface PictureSample {
  readonly picture: Pick<DatasetEntry, "image" | "imagePath" | "range">;
  /** An empty text stands for no caption. */
  readonly captions: readonly ChosenCaption[];
  readonly variation?: Variation;
}

export interface Variation {
  readonly seed: number;
  /** Least share of the largest square that is kept; 1 keeps the picture as it is. */
  readonly leastArea: number;
  /** Probability of left and right being exchanged. */
  readonly mirror: number;
}

/** A drawn scene, with captions in these languages. */
export interface SceneSample {
  readonly scene: SceneOptions;
  readonly languages: readonly string[];
}

export type Sample = PictureSample | SceneSample;

/** What making samples takes, as it may be sent to a thread. */
export interface SampleMakerOptions {
  /** Contents by name: sentencepiece.bpe.model, tokenizer.json, tokenizer_config.json. */
  readonly tokenizerFiles: ReadonlyMap<string, Uint8Array>;
  readonly preprocessor: PreprocessorConfig;
}

export class SampleMaker {
  readonly #tokenizer: Mbart50Tokenizer;

  constructor(private readonly options: SampleMakerOptions) {
    this.#tokenizer = tokenizerOf(options.tokenizerFiles);
  }

  /** @throws {LingolensError} what `loadPicture` throws */
  async make(sample: Sample): Promise<CaptionedPicture> {
    const { image, captions } = "scene" in sample ? drawScene(sample) : await readPicture(sample);
    return {
      pixelValues: preprocess(image, this.options.preprocessor).data,
      captions: captions.map((caption) => this.#encode(caption)),
    };
  }

  /** Of each list of captions, the tokens of the longest. */
  longest(lists: readonly (readonly ChosenCaption[])[]): number[] {
    return lists.map((captions) => Math.max(0, ...captions.map((caption) => this.#encode(caption).length)));
  }

  #encode({ language, text }: ChosenCaption): number[] {
    return text === "" ? [] : this.#tokenizer.encode(text, language);
  }
}

export function tokenizerOf(files: SampleMakerOptions["tokenizerFiles"]): Mbart50Tokenizer {
  const sentencePieceModel = files.get("sentencepiece.bpe.model");
  const text = (name: string) => {
    const bytes = files.get(name);
    return bytes && new TextDecoder().decode(bytes);
  };
  const tokenizerJson = text("tokenizer.json");
  const tokenizerConfig = text("tokenizer_config.json");
  return loadTokenizer({
    ...(sentencePieceModel && { sentencePieceModel }),
    ...(tokenizerJson !== undefined && { tokenizerJson }),
    ...(tokenizerConfig !== undefined && { tokenizerConfig }),
  });
}

function drawScene({ scene: options, languages }: SceneSample) {
  const scene = sceneAt(options);
  const captions = languages.map((language) => ({ language, text: sceneCaption(scene, language).text }));
  return { image: renderScene(scene), captions };
}

async function readPicture({ picture, captions, variation }: PictureSample) {
  const { image, imagePath, range } = picture;
  const name = range ? `${imagePath}/${image}` : imagePath;
  let pixels = await loadPicture(await pictureOf(picture), { name });
  if (variation) {
    const random = randomNumbers(variation.seed);
    if (variation.leastArea < 1) pixels = randomSquare(pixels, variation.leastArea, random);
    if (random() < variation.mirror) pixels = mirrored(pixels);
  }
  return { image: pixels, captions };
}
