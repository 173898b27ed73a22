import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { LANGUAGES_FIELD } from "../captioner/languages.js";
import { LingolensError } from "../errors.js";
import { type PreprocessorConfig, readPreprocessorConfig } from "../image/preprocessor-config.js";
import type { CaptionerConfig } from "../model/config.js";
import { initializeParameters } from "../model/initialize.js";
import { resolveLanguage } from "../text/languages.js";
import type { Mbart50Tokenizer } from "../text/mbart50-tokenizer.js";
import { loadTokenizerFolder } from "../text/tokenizer-folder.js";
import { trimTokenizer } from "../text/trim-tokenizer.js";
import { bundledModelFolder } from "../weights/bundled-model.js";
import { type ResolveOptions, resolveModel } from "../weights/hub/resolve-model.js";
import type { HubOptions } from "../weights/hub/snapshot.js";
import { type ModelFolder, openModelFolder, type RawJson } from "../weights/model-folder.js";
import { parameterShapes } from "../weights/parameter-shapes.js";
import { loadTrainingState, noProgress, type TrainingState } from "./checkpoint.js";
import type { Collective } from "./collective/collective.js";
import { datasetCaptions } from "./dataset-data.js";
import { trainableShapes } from "./freeze.js";
import { allocateTraining, fillTensor, type TrainingMemory } from "./parameters.js";
import type { Recipe } from "./recipe.js";
import type { RunDType } from "./run-dtype.js";

/** What a model of so many parameters is computed in. */
export type Decide = (parameters: number) => RunDType;

export interface StartingPoint {
  readonly config: CaptionerConfig;
  /** The parameters' values are rank 0's to know. */
  readonly state: TrainingState;
  readonly tokenizerFiles: ReadonlyMap<string, Uint8Array>;
  readonly preprocessor: PreprocessorConfig;
  readonly preprocessorConfig: RawJson;
  readonly generationConfig: RawJson;
}

/** The model and its training's state: those of a checkpoint, of a model folder, or new ones. */
export async function startingPoint(
  recipe: Recipe,
  checkpoint: string | undefined,
  collective: Collective,
  decide: Decide,
  hub: HubOptions,
): Promise<StartingPoint> {
  if (checkpoint !== undefined || recipe.model.kind === "pretrained") {
    const path = checkpoint ?? (await modelFolder((recipe.model as { path: string }).path, hub));
    return fromFolder(await openModelFolder(path, hub), recipe, checkpoint, collective, decide);
  }
  return fromNothing(recipe, recipe.model, collective, decide, hub);
}

async function modelFolder(path: string, options: ResolveOptions): Promise<string> {
  return path === "bundled" ? bundledModelFolder : resolveModel(path, options);
}

async function fromFolder(
  folder: ModelFolder,
  recipe: Recipe,
  checkpoint: string | undefined,
  collective: Collective,
  decide: Decide,
): Promise<StartingPoint> {
  const { config, preprocessorConfig = {}, generationConfig = {} } = folder;
  const memory = trainingMemory(config, recipe, collective, decide);
  if (collective.rank === 0) {
    // One by one: large models are in memory once.
    for (const [name, weight] of folder.weights) fillTensor(memory.parameters, name, await weight.read());
  }
  const progress =
    checkpoint === undefined ? noProgress() : await loadTrainingState(checkpoint, memory, collective);
  const files = [...folder.tokenizerFiles].map(async ([name, path]) => [name, await readFile(path)] as const);
  return {
    config,
    state: { progress, memory },
    tokenizerFiles: new Map(await Promise.all(files)),
    preprocessor: readPreprocessorConfig(preprocessorConfig, config.vision.imageSize),
    preprocessorConfig,
    generationConfig: withLanguages(generationConfig, recipe),
  };
}

/** Records the languages of the recipe beside those that the model has learnt before. */
function withLanguages(generationConfig: RawJson, { languages }: Recipe): RawJson {
  const recorded = generationConfig[LANGUAGES_FIELD];
  const before = Array.isArray(recorded) ? recorded : [];
  const codes = languages.map((language) => resolveLanguage(language).code);
  return { ...generationConfig, [LANGUAGES_FIELD]: [...new Set([...before, ...codes])] };
}

async function fromNothing(
  recipe: Recipe,
  model: Extract<Recipe["model"], { kind: "new" }>,
  collective: Collective,
  decide: Decide,
  hub: HubOptions,
): Promise<StartingPoint> {
  const folder = await modelFolder(model.tokenizer, { ...hub, weights: false });
  const { tokenizer, tokenizerFiles } = await newTokenizer(folder, recipe, model);
  const config: CaptionerConfig = {
    vision: {
      hiddenSize: model.visionHiddenSize,
      layers: model.visionLayers,
      heads: model.visionHeads,
      intermediateSize: model.visionIntermediateSize,
      imageSize: model.imageSize,
      patchSize: model.patchSize,
      channels: 3,
      layerNormEps: 1e-5,
      activation: "quick_gelu",
    },
    decoder: {
      hiddenSize: model.decoderHiddenSize,
      layers: model.decoderLayers,
      heads: model.decoderHeads,
      ffnDim: model.decoderFfnDim,
      vocabularySize: tokenizer.vocabularySize,
      maxPositions: model.maxPositions,
      layerNormEps: 1e-5,
      activation: "gelu",
      scaleEmbedding: true,
      dropout: recipe.dropout,
    },
    ids: { bos: tokenizer.bosId, pad: tokenizer.padId, eos: tokenizer.eosId, decoderStart: tokenizer.eosId },
  };
  const memory = trainingMemory(config, recipe, collective, decide);
  if (collective.rank === 0) {
    for (const [name, values] of initializeParameters(config, parameterShapes(config), recipe.seed))
      fillTensor(memory.parameters, name, values);
  }
  const preprocessorConfig = {
    image_processor_type: "CLIPImageProcessor",
    size: model.imageSize,
    crop_size: model.imageSize,
  };
  return {
    config,
    state: { progress: noProgress(), memory },
    tokenizerFiles,
    preprocessor: readPreprocessorConfig(preprocessorConfig, model.imageSize),
    preprocessorConfig,
    generationConfig: withLanguages({}, recipe),
  };
}

async function newTokenizer(
  folder: string,
  { data, languages }: Recipe,
  { trimTokenizer: trim }: Extract<Recipe["model"], { kind: "new" }>,
): Promise<{ tokenizer: Mbart50Tokenizer; tokenizerFiles: ReadonlyMap<string, Uint8Array> }> {
  const full = await loadTokenizerFolder(folder);
  if (!trim) {
    const names = ["sentencepiece.bpe.model", "tokenizer.json", "tokenizer_config.json"];
    const present = names.filter((name) => existsSync(join(folder, name)));
    const files = present.map(async (name) => [name, await readFile(join(folder, name))] as const);
    return { tokenizer: full, tokenizerFiles: new Map(await Promise.all(files)) };
  }
  if (data.kind !== "folder")
    throw new LingolensError(
      "option-unsupported",
      "model.trimTokenizer needs a dataset whose captions say what to keep.",
    );
  const trimmed = await trimTokenizer(full, { texts: () => datasetCaptions(data, languages), languages });
  return {
    tokenizer: trimmed.tokenizer,
    tokenizerFiles: new Map([
      ["sentencepiece.bpe.model", trimmed.sentencePieceModel],
      ["tokenizer_config.json", new TextEncoder().encode(trimmed.tokenizerConfig)],
    ]),
  };
}

function trainingMemory(
  config: CaptionerConfig,
  { freeze }: Recipe,
  collective: Collective,
  decide: Decide,
): TrainingMemory {
  const shapes = parameterShapes(config);
  const parameters = [...shapes.values()].reduce((sum, shape) => sum + shape.reduce((a, b) => a * b, 1), 0);
  const rounded = decide(parameters) === "bf16";
  return allocateTraining(shapes, trainableShapes(shapes, freeze), collective, rounded);
}
