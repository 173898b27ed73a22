import { Describer } from "../captioner/describer.js";
import type { CaptionScores } from "../evaluation/caption-scores.js";
import type { RgbImage } from "../image/pixels.js";
import { pictureOfPixelValues } from "../image/preprocess.js";
import type { PreprocessorConfig } from "../image/preprocessor-config.js";
import type { CaptionerConfig } from "../model/config.js";
import type { Mbart50Tokenizer } from "../text/mbart50-tokenizer.js";
import type { RawJson } from "../weights/model-folder.js";
import type { TrainingData } from "./data.js";
import { type CaptionSample, evaluateCaptions } from "./evaluate-captions.js";
import { type EvaluationLoss, evaluateLoss } from "./evaluate-loss.js";
import type { EvaluationPrograms } from "./evaluation-programs.js";
import type { Recipe } from "./recipe.js";

/** Pictures whose captions are shown. */
const SAMPLES = 8;

export interface EvaluatorOptions {
  readonly config: CaptionerConfig;
  readonly tokenizer: Mbart50Tokenizer;
  readonly preprocessor: PreprocessorConfig;
  /** generation_config.json. */
  readonly generationConfig: RawJson;
  readonly data: TrainingData;
  readonly recipe: Recipe;
  /** Pictures whose loss is computed at a time. */
  readonly batchSize: number;
}

export interface Evaluation extends EvaluationLoss {
  /** Scores of captions by ISO code, where pictures were captioned. */
  readonly captions?: Readonly<Record<string, CaptionScores>>;
  readonly samples?: readonly CaptionSample[];
}

/** How good a model is while it is trained, on the first of the validation pictures. */
export class Evaluator {
  readonly #describer: Describer;

  constructor(
    private readonly programs: EvaluationPrograms,
    private readonly options: EvaluatorOptions,
  ) {
    const { config, tokenizer, generationConfig } = options;
    this.#describer = new Describer(programs.runner, config, tokenizer, generationConfig);
  }

  async run(): Promise<Evaluation> {
    const { recipe, data, tokenizer } = this.options;
    const { languages, maxLength, captionCount: count } = recipe;
    const { losses } = this.programs;
    const loss = await evaluateLoss({ ...this.options, languages, maxLength, losses });
    if (count === 0) return loss;
    const { scores, samples } = await evaluateCaptions({
      describer: this.#describer,
      tokenizer,
      data,
      languages,
      maxLength,
      count,
      samples: SAMPLES,
    });
    return { ...loss, captions: scores, samples };
  }

  /** The pictures of an evaluation's samples, as the model sees them. */
  async samplePictures(): Promise<RgbImage[]> {
    const { recipe, data, preprocessor } = this.options;
    const pictures = await data.validation(0, Math.min(SAMPLES, recipe.captionCount, data.validationCount));
    return pictures.map(({ pixelValues }) => pictureOfPixelValues(pixelValues, preprocessor));
  }
}
