import { createDeviceEngine, type DeviceEngine } from "../engine/device/device-engine.js";
import type { DeviceName } from "../engine/device/device-kind.js";
import type { Engine } from "../engine/engine.js";
import { LingolensError } from "../errors.js";
import type { HubOptions } from "../weights/hub/snapshot.js";
import { writeModelFiles } from "../weights/model-folder.js";
import { type Collective, fromRank0, threadsOfRank } from "./collective/collective.js";
import { oneProcess } from "./collective/one-process.js";
import type { TrainingData } from "./data.js";
import { datasetData } from "./dataset-data.js";
import type { FlatTensors } from "./parameters.js";
import type { Recipe } from "./recipe.js";
import { checkpointToResume, checkSameModel } from "./resume.js";
import { chooseDType, dtypeOfRun, type RunDType } from "./run-dtype.js";
import { tokenizerOf } from "./sample.js";
import { createSamplePool } from "./sample-pool.js";
import { scenesData } from "./scenes-data.js";
import { type Decide, type StartingPoint, startingPoint } from "./starting-point.js";
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
