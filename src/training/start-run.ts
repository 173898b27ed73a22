import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { LANGUAGES_FIELD } from "../captioner/languages.js";
import { createDeviceEngine, type DeviceEngine } from "../engine/device/device-engine.js";
import type { DeviceName } from "../engine/device/device-kind.js";
import type { Engine } from "../engine/engine.js";
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
import { readJsonObject } from "../weights/json-file.js";
import { type ModelFolder, openModelFolder, type RawJson, writeModelFiles } from "../weights/model-folder.js";
import { parameterShapes } from "../weights/parameter-shapes.js";
import {
  listCheckpoints,
  loadTrainingState,
  noProgress,
  type TrainingState,
  verifyCheckpoint,
} from "./checkpoint.js";
import { type Collective, fromRank0, threadsOfRank } from "./collective/collective.js";
import { oneProcess } from "./collective/one-process.js";
import type { TrainingData } from "./data.js";
import { datasetCaptions, datasetData } from "./dataset-data.js";
import { trainableShapes } from "./freeze.js";
import { allocateTraining, type FlatTensors, fillTensor, type TrainingMemory } from "./parameters.js";
import type { Recipe } from "./recipe.js";
import { chooseDType, dtypeOfRun, type RunDType } from "./run-dtype.js";
import { tokenizerOf } from "./sample.js";
import { createSamplePool } from "./sample-pool.js";
import { scenesData } from "./scenes-data.js";
import { type TrainProgress, train } from "./train.js";

export interface RunOptions {
  readonly recipe: Recipe;
  /** The run folder: recipe.json, metrics.jsonl, checkpoints/, final/. */
  readonly out: string;
  /**
   * "auto" goes on from the newest checkpoint in `out` that is whole, if it has any; "never" starts anew and refuses a folder that
   * has one; a path names the checkpoint to go on from. Default "auto".
   */
  readonly resume?: string;
  /** The processes that train together, all with the same options. Default: this one alone. */
  readonly collective?: Collective;
  /** The GPU to train on, by this process alone and in float32. Default: the engine trains. */
  readonly device?: DeviceName;
  /** Default: the processors that this process may use, or its share of them where others of its ranks do. */
  readonly threads?: number;
  readonly signal?: AbortSignal;
  /** Makes an engine for a run in bf16, where the one that is given cannot. Default: there is none. */
  readonly openBf16?: () => Promise<Engine>;
  /** How a model of the hub that the recipe names is fetched. */
  readonly hub?: Pick<HubOptions, "offline" | "onProgress">;
  /** Called once, with the step that the run goes on from, 0 for a new one. */
  readonly onStart?: (start: RunStart) => void;
  readonly onProgress?: (progress: TrainProgress) => void;
  /** Called with a sentence on what is amiss where the run goes on nevertheless. */
  readonly onWarning?: (message: string) => void;
}

export interface RunStart {
  readonly step: number;
  /** Of this process. */
  readonly threads: number;
  /** What trains on a GPU, where one does. */
  readonly device?: string;
  /** Numbers of the model, and how many of them are not frozen. */
  readonly parameters: number;
  readonly trainable: number;
  readonly dtype: RunDType;
}

/** Trains by a recipe, from its start or from a checkpoint, into a run folder. */
export async function startRun(engine: Engine, options: RunOptions): Promise<void> {
  const { recipe, collective = oneProcess } = options;
  checkShares(recipe, collective);
  if (!options.device) return runOn(engine, undefined, options);
  checkDevice(options.device, recipe, collective);
  const device = await createDeviceEngine(options.device);
  try {
    await runOn(engine, device, options);
  } finally {
    await device.close();
  }
}

async function runOn(engine: Engine, device: DeviceEngine | undefined, options: RunOptions): Promise<void> {
  const { recipe, out, resume = "auto", collective = oneProcess } = options;
  const checkpoint = await fromRank0(collective, async () => {
    const found = await checkpointToResume(out, resume, options.onWarning);
    if (found !== undefined && resume === "auto") await checkSameModel(out, recipe);
    return found;
  });
  const begun = await fromRank0(collective, async () =>
    checkpoint === undefined ? undefined : dtypeOfRun(checkpoint),
  );
  // A GPU's products are in float32.
  const asked = device ? "fp32" : recipe.dtype;
  const used = await chooseDType({ ...options, asked, begun, engine, collective });
  let dtype: RunDType = "fp32";
  const decide: Decide = (parameters) => {
    dtype = used.dtypeOf(parameters);
    return dtype;
  };
  // What rank 0 fetches from the hub, the others on its machine find in the cache.
  if (collective.rank > 0) await collective.barrier();
  const start = await startingPoint(recipe, checkpoint, collective, decide, {
    ...options.hub,
    signal: options.signal,
  });
  if (collective.rank === 0) await collective.barrier();
  for (const { data } of Object.values(start.state.memory.parameters.tensors))
    await collective.broadcast(data);
  const { config, state, tokenizerFiles, preprocessorConfig, generationConfig } = start;
  const data = await trainingData(recipe, start, options.onWarning);
  const { threads = threadsOfRank(collective), signal, onProgress, onWarning } = options;
  options.onStart?.({
    step: state.progress.step,
    threads,
    ...(device && { device: device.description }),
    parameters: countElements(state.memory.parameters),
    trainable: countElements(state.memory.gradients),
    dtype,
  });

  try {
    await train({
      engine: used.engine,
      config,
      recipe: { ...recipe, dtype },
      data,
      tokenizer: tokenizerOf(tokenizerFiles),
      preprocessor: start.preprocessor,
      generationConfig,
      collective,
      state,
      out,
      threads,
      writeModel: (folder, { tensors }) => {
        const parameters = new Map(Object.entries(tensors));
        return writeModelFiles(folder, {
          config,
          parameters,
          tokenizerFiles,
          preprocessorConfig,
          generationConfig,
        });
      },
      ...(device && { device }),
      ...(signal && { signal }),
      ...(onProgress && { onProgress }),
      ...(onWarning && { onWarning }),
    });
  } finally {
    await data.close();
    if (used.engine !== engine) await used.engine.close();
  }
}

/** @throws {LingolensError} `config-invalid` where the ranks would have different shares of a batch */
function checkShares({ batchSize, workers, gradientAccumulation }: Recipe, { size }: Collective): void {
  if (batchSize % (size * workers * gradientAccumulation) === 0) return;
  throw new LingolensError(
    "config-invalid",
    `Recipe: batchSize (${batchSize}) is not a multiple of ranks × workers × gradientAccumulation ` +
      `(${size} × ${workers} × ${gradientAccumulation}). batchSize counts the pictures of all ranks together.`,
  );
}

/** @throws {LingolensError} `option-unsupported` for what the processors can do, and a device cannot */
function checkDevice(device: DeviceName, { dtype }: Recipe, { size }: Collective): void {
  const refused =
    dtype === "bf16"
      ? "dtype bf16, which is of processors: products on a GPU are in fp32"
      : size > 1 && `${size} ranks: a GPU is trained on by one process`;
  if (!refused) return;
  throw new LingolensError("option-unsupported", `--device ${device} does not go with ${refused}.`);
}

async function checkpointToResume(
  out: string,
  resume: string,
  onWarning?: (message: string) => void,
): Promise<string | undefined> {
  if (resume !== "auto" && resume !== "never") {
    await verifyCheckpoint(resume);
    return resume;
  }
  const checkpoints = await listCheckpoints(out);
  if (checkpoints.length > 0 && resume === "never")
    throw new LingolensError(
      "already-exists",
      `${out} holds a run already (${checkpoints[0]}). Choose another --out, or go on from it with --resume auto.`,
    );
  let damage: LingolensError | undefined;
  for (const checkpoint of checkpoints) {
    try {
      await verifyCheckpoint(checkpoint);
      return checkpoint;
    } catch (error) {
      if (!(error instanceof LingolensError)) throw error;
      damage = error;
      onWarning?.(`${error.message} The checkpoint before it is tried.`);
    }
  }
  if (damage)
    throw new LingolensError(
      "checkpoint-damaged",
      `No checkpoint of ${out} can be gone on from. The last one tried: ${damage.message} To start anew, choose ` +
        "another --out or remove the folder.",
      { cause: damage },
    );
  return undefined;
}

/** A checkpoint brings its model along: one that the recipe asks for now would be ignored. */
async function checkSameModel(out: string, { model }: Recipe): Promise<void> {
  const before = await readJsonObject(join(out, "recipe.json"), "config-invalid");
  if (before && !isDeepStrictEqual(before.model, model))
    throw new LingolensError(
      "checkpoint-mismatch",
      `${out} holds a run of another model, ${JSON.stringify(before.model)}; the recipe asks for ` +
        `${JSON.stringify(model)}. Choose another --out, or leave the model as it was.`,
    );
}

/** What a model of so many parameters is computed in. */
type Decide = (parameters: number) => RunDType;

interface StartingPoint {
  readonly config: CaptionerConfig;
  /** The parameters' values are rank 0's to know. */
  readonly state: TrainingState;
  readonly tokenizerFiles: ReadonlyMap<string, Uint8Array>;
  readonly preprocessor: PreprocessorConfig;
  readonly preprocessorConfig: RawJson;
  readonly generationConfig: RawJson;
}

async function startingPoint(
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

function countElements({ tensors }: FlatTensors): number {
  return Object.values(tensors).reduce((sum, { data }) => sum + data.length, 0);
}

async function trainingData(
  { data, languages, seed, batchSize, evaluateCount }: Recipe,
  { tokenizerFiles, preprocessor }: StartingPoint,
  onWarning: (message: string) => void = () => {},
): Promise<TrainingData> {
  const pool = createSamplePool({ tokenizerFiles, preprocessor });
  const shared = { languages, seed, batchSize, evaluateCount, pool };
  try {
    return data.kind === "scenes"
      ? scenesData({ ...shared, ...data, size: preprocessor.cropSize.width })
      : await datasetData({ ...shared, ...data, onWarning });
  } catch (error) {
    await pool.close();
    throw error;
  }
}
