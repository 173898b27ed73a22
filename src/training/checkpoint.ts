import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { LingolensError } from "../errors.js";
import { writeFolderAtomically } from "../weights/atomic-file.js";
import { openSafetensors, readTensor, writeSafetensors } from "../weights/safetensors.js";
import type { Collective, Ranks } from "./collective/collective.js";
import { oneProcess } from "./collective/one-process.js";
import {
  allocateFlat,
  type FlatTensors,
  fillShare,
  type Stretches,
  type TrainingMemory,
} from "./parameters.js";
import { copyLoop, type SharedLoops } from "./shared-loops.js";

/** How far a run is. With its parameters and moments this is all that it needs to go on as if it had never stopped: pictures and masks are functions of the step. */
export interface TrainingProgress {
  /** Steps done, skipped ones counted. */
  step: number;
  /** Steps done by the optimiser. */
  optimizerStep: number;
  /** Steps skipped, one after the other, up to now. */
  skippedInARow: number;
  /** Since the last line of `metrics.jsonl`: loss and tokens of the optimiser's steps, and steps skipped. */
  sinceLog: { readonly lossSum: number; readonly tokens: number; readonly skipped: number };
}

export interface TrainingState {
  readonly progress: TrainingProgress;
  readonly memory: TrainingMemory;
}

export const noProgress = (): TrainingProgress => ({
  step: 0,
  optimizerStep: 0,
  skippedInARow: 0,
  sinceLog: { lossSum: 0, tokens: 0, skipped: 0 },
});

/** What is written to a checkpoint: a state as it was at one moment. */
export interface Snapshot {
  readonly progress: Readonly<TrainingProgress>;
  readonly parameters: FlatTensors;
  readonly mean: FlatTensors;
  readonly square: FlatTensors;
  /** Loss of an evaluation with these very parameters, if there was one. */
  readonly evaluationLoss?: number;
}

/** Copies what the next step will change, and brings the moments of all ranks together in rank 0, which alone gets them. */
export async function takeSnapshot(
  loops: SharedLoops,
  { progress, memory }: TrainingState,
  collective: Collective,
  evaluationLoss?: number,
): Promise<Snapshot | undefined> {
  const moments = [memory.mean, memory.square] as const;
  if (collective.rank > 0) {
    for (const { stretches } of moments) await gatherStretches(collective, stretches);
    return undefined;
  }
  const shapes = new Map(Object.entries(memory.gradients.tensors).map(([name, { shape }]) => [name, shape]));
  const copyOf = async (source: Stretches): Promise<FlatTensors> => {
    const copy = allocateFlat(shapes);
    // Rank 0's share is the first.
    const first = copy.stretches.map((stretch, i) => stretch.subarray(0, source.stretches[i]!.length));
    await loops.run(copyLoop, [{ stretches: first }, source]);
    return copy;
  };
  const parameters = await copyOf(memory.parameters);
  const [mean, square] = [await copyOf(memory.mean), await copyOf(memory.square)];
  for (const { stretches } of [mean, square]) await gatherStretches(collective, stretches);
  return {
    progress: { ...progress },
    parameters: { ...parameters, tensors: { ...memory.parameters.tensors, ...parameters.tensors } },
    mean,
    square,
    ...(evaluationLoss !== undefined && { evaluationLoss }),
  };
}

async function gatherStretches(collective: Collective, stretches: readonly Float32Array[]): Promise<void> {
  for (const stretch of stretches) await collective.gather(stretch);
}

const STATE_FILE = "training-state.safetensors";
const STEP_FILE = "training-state.json";

const stepSchema = z.object({
  step: z.int().min(0),
  optimizerStep: z.int().min(0),
  // Version 0.1 wrote none of these.
  sinceLog: z
    .object({ lossSum: z.number(), tokens: z.int(), skipped: z.int().default(0) })
    .default({ lossSum: 0, tokens: 0, skipped: 0 }),
  skippedInARow: z.int().default(0),
  evaluationLoss: z.number().optional(),
  /** Digest of every other file by its name. */
  sha256: z.record(z.string(), z.string()).default({}),
});

const checkpointName = (step: number): string => `step-${String(step).padStart(6, "0")}`;
const stepOf = (name: string): number => Number(/^step-(\d+)$/.exec(name)?.[1] ?? Number.NaN);

/**
 * Writes `checkpoints/step-000300/`: a model folder with the training state beside the weights. It appears whole or
 * not at all.
 * @param writeModel writes the model folder's files
 * @param keep older checkpoints than the newest so many are removed, but for the one of the lowest loss in evaluation; as
 * are later ones, which a run leaves behind that went back
 */
export async function saveCheckpoint(
  runFolder: string,
  snapshot: Snapshot,
  writeModel: (folder: string, parameters: FlatTensors) => Promise<void>,
  keep: number,
): Promise<string> {
  const { progress, evaluationLoss } = snapshot;
  const folder = join(runFolder, "checkpoints");
  await mkdir(folder, { recursive: true });
  const path = join(folder, checkpointName(progress.step));
  await rm(path, { recursive: true, force: true });
  await writeFolderAtomically(path, async (aside) => {
    await writeModel(aside, snapshot.parameters);
    await writeSafetensors(join(aside, STATE_FILE), optimizerTensors(snapshot));
    const content = { ...progress, evaluationLoss, sha256: await digests(aside) };
    await writeFile(join(aside, STEP_FILE), `${JSON.stringify(content)}\n`);
  });
  const steps = await checkpointSteps(folder);
  const earlier = steps.filter((step) => step <= progress.step);
  const kept = [...earlier.slice(-keep), await bestOf(folder, earlier)];
  for (const step of steps)
    if (!kept.includes(step)) await rm(join(folder, checkpointName(step)), { recursive: true, force: true });
  return path;
}

/** The step whose checkpoint has the lowest loss in evaluation, if any has one. */
async function bestOf(folder: string, steps: readonly number[]): Promise<number | undefined> {
  let best: { step: number; loss: number } | undefined;
  for (const step of steps) {
    // A damaged one is no candidate.
    const state = await readStep(join(folder, checkpointName(step), STEP_FILE)).catch(() => undefined);
    const loss = state?.evaluationLoss;
    if (loss !== undefined && (!best || loss < best.loss)) best = { step, loss };
  }
  return best?.step;
}

function optimizerTensors({ mean, square }: Snapshot) {
  return new Map(
    Object.entries({ mean, square }).flatMap(([kind, { tensors }]) =>
      Object.entries(tensors).map(
        ([name, { shape, data }]) => [`${kind}.${name}`, { dtype: "F32" as const, shape, data }] as const,
      ),
    ),
  );
}

async function digests(folder: string): Promise<Record<string, string>> {
  const names = (await readdir(folder)).sort();
  return Object.fromEntries(
    await Promise.all(names.map(async (name) => [name, await sha256(join(folder, name))] as const)),
  );
}

async function sha256(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk);
  return hash.digest("hex");
}

/**
 * Compares a checkpoint with the digests taken when it was written: training on from a flipped bit would go unnoticed.
 * @throws {LingolensError} `checkpoint-damaged`, `file-not-found` where the folder is no checkpoint
 */
export async function verifyCheckpoint(folder: string): Promise<void> {
  const { sha256: expected } = await readStep(join(folder, STEP_FILE));
  // Names are looked up among those that are there, so that a forged one cannot lead out of the folder.
  const present = new Set(await readdir(folder));
  for (const [name, digest] of Object.entries(expected)) {
    const state = !present.has(name)
      ? "is missing"
      : (await sha256(join(folder, name))) !== digest && "has changed";
    if (state)
      throw new LingolensError("checkpoint-damaged", `${folder}: ${name} ${state} since it was written.`);
  }
}

/** Folders of the run's checkpoints, newest first. */
export async function listCheckpoints(runFolder: string): Promise<string[]> {
  const folder = join(runFolder, "checkpoints");
  return (await checkpointSteps(folder)).reverse().map((step) => join(folder, checkpointName(step)));
}

async function checkpointSteps(folder: string): Promise<number[]> {
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return [];
    throw error;
  });
  return names
    .map(stepOf)
    .filter(Number.isInteger)
    .sort((a, b) => a - b);
}

/**
 * Reads the training state of a checkpoint, all but the parameters: a rank's share of the moments into `memory`, and how
 * far the run was.
 * @throws {LingolensError} `file-not-found`, `checkpoint-damaged`, `checkpoint-mismatch`
 */
export async function loadTrainingState(
  folder: string,
  { mean, square, gradients }: TrainingMemory,
  ranks: Ranks = oneProcess,
): Promise<TrainingProgress> {
  const { step, optimizerStep, skippedInARow, sinceLog } = await readStep(join(folder, STEP_FILE));
  const file = await openSafetensors(join(folder, STATE_FILE));
  for (const [kind, moments] of Object.entries({ mean, square })) {
    for (const name of Object.keys(gradients.tensors)) {
      const key = `${kind}.${name}`;
      if (!file.header.tensors.has(key)) throw neverTrained(folder, name);
      fillShare(moments, gradients, name, (await readTensor(file, key)).data as Float32Array, ranks);
    }
  }
  return { step, optimizerStep, skippedInARow, sinceLog };
}

function neverTrained(folder: string, name: string): LingolensError {
  return new LingolensError(
    "checkpoint-mismatch",
    `${folder} holds no state of the optimiser for ${name}: it was frozen. Leave the recipe's freeze as it was, or ` +
      "start a new run from this checkpoint's model (--set model.path=…).",
  );
}

async function readStep(path: string): Promise<z.infer<typeof stepSchema>> {
  const text = await readFile(path, "utf8").catch((cause) => {
    throw new LingolensError(
      "file-not-found",
      `${path}: expected the state of a training run; ${cause.message}.`,
      { cause },
    );
  });
  try {
    return stepSchema.parse(JSON.parse(text));
  } catch {}
  throw new LingolensError(
    "checkpoint-damaged",
    `${path}: expected {"step":…,"optimizerStep":…}; got ${text.slice(0, 80)}.`,
  );
}
