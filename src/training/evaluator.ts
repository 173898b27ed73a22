import { Describer } from "../captioner/describer.js";
import { ModelPrograms } from "../captioner/model-programs.js";
import { HostRunner } from "../captioner/model-runner.js";
import { type CompiledProgram, compileProgram } from "../engine/compile.js";
import type { Engine } from "../engine/engine.js";
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
import type { FlatTensors } from "./parameters.js";
import type { Recipe } from "./recipe.js";
import { lossProgram } from "./train-program.js";

/** Pictures whose captions are shown. */
const SAMPLES = 8;

export interface EvaluatorOptions {
  readonly config: CaptionerConfig;
  /** Read where they are, so that what is evaluated is what they are at the moment. */
  readonly parameters: FlatTensors;
  readonly tokenizer: Mbart50Tokenizer;
  readonly preprocessor: PreprocessorConfig;
  /** generation_config.json. */
  readonly generationConfig: RawJson;
  readonly data: TrainingData;
  readonly recipe: Recipe;
  /** Pictures whose loss is computed at a time. */
  readonly batchSize: number;
  readonly threads: number;
}

export interface Evaluation extends EvaluationLoss {
  /** Scores of captions by ISO code, where pictures were captioned. */
  readonly captions?: Readonly<Record<string, CaptionScores>>;
  readonly samples?: readonly CaptionSample[];
}

/** How good a model is while it is trained, on the first of the validation pictures. */
export class Evaluator {
  private constructor(
    private readonly options: EvaluatorOptions,
    private readonly loss: CompiledProgram,
    private readonly programs: ModelPrograms,
    private readonly describer: Describer,
  ) {}

  static async compile(engine: Engine, options: EvaluatorOptions): Promise<Evaluator> {
    const { config, parameters, tokenizer, generationConfig, threads } = options;
    const loss = await compileProgram(engine, lossProgram(config), { threads });
    const { tensors } = parameters;
    const weights = {
      config,
      locations: new Map(),
      converted: tensors,
      int8: new Set<string>(),
      size: Object.values(tensors).reduce((sum, { data }) => sum + data.length, 0),
    };
    const programs = new ModelPrograms(engine, weights, threads);
    return new Evaluator(
      options,
      loss,
      programs,
      new Describer(new HostRunner(programs), config, tokenizer, generationConfig),
    );
  }

  async run(): Promise<Evaluation> {
    const { recipe, data, tokenizer } = this.options;
    const { languages, maxLength, captionCount: count } = recipe;
    const { loss: program, describer } = this;
    const loss = await evaluateLoss({ ...this.options, languages, maxLength, program });
    if (count === 0) return loss;
    const { scores, samples } = await evaluateCaptions({
      describer,
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

  async close(): Promise<void> {
    await Promise.all([this.loss.close(), this.programs.close()]);
  }
}
