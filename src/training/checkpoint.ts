import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { LingolensError } from "../errors.js";
import { writeFolderAtomically } from "../weights/atomic-file.js";
import { openSafetensors, readTensor, writeSafetensors } from "../weights/safetensors.js";
import type { AdamWState } from "./adamw.js";
import { allocateFlat, type FlatTensors, fillFlat, type ParameterShapes } from "./parameters.js";

/** All that a run needs in order to go on as if it had never stopped; pictures are a function of the step. */
export interface TrainingState {
  /** Optimiser steps done. */
  step: number;
  readonly parameters: FlatTensors;
  readonly optimizer: AdamWState;
}

const STATE_FILE = "training-state.safetensors";
const STEP_FILE = "training-state.json";

const checkpointName = (step: number): string => `step-${String(step).padStart(6, "0")}`;
const stepOf = (name: string): number => Number(/^step-(\d+)$/.exec(name)?.[1] ?? Number.NaN);

/**
 * Writes `checkpoints/step-000300/`: a model folder with the training state beside the weights. It appears whole or
 * not at all.
 * @param writeModel writes the model folder's files
 * @param keep older checkpoints than the newest so many are removed
 */
export async function saveCheckpoint(
  runFolder: string,
  state: TrainingState,
  writeModel: (folder: string) => Promise<void>,
  keep: number,
): Promise<string> {
  const folder = join(runFolder, "checkpoints");
  await mkdir(folder, { recursive: true });
  const path = join(folder, checkpointName(state.step));
  await rm(path, { recursive: true, force: true });
  await writeFolderAtomically(path, async (aside) => {
    await writeModel(aside);
    await writeSafetensors(join(aside, STATE_FILE), optimizerTensors(state));
    await writeFile(
      join(aside, STEP_FILE),
      `${JSON.stringify({ step: state.step, optimizerStep: state.optimizer.step })}\n`,
    );
  });
  for (const step of (await checkpointSteps(folder)).slice(0, -keep))
    await rm(join(folder, checkpointName(step)), { recursive: true, force: true });
  return path;
}

function optimizerTensors({ parameters, optimizer }: TrainingState) {
  let start = 0;
  return new Map(
    Object.entries(parameters.tensors).flatMap(([name, { shape, data }]) => {
      const range = [start, start + data.length] as const;
      start = range[1];
      return [
        [`mean.${name}`, { dtype: "F32" as const, shape, data: optimizer.mean.subarray(...range) }],
        [`square.${name}`, { dtype: "F32" as const, shape, data: optimizer.square.subarray(...range) }],
      ] as const;
    }),
  );
}

/** Folder of the run's newest checkpoint, if it has one. */
export async function latestCheckpoint(runFolder: string): Promise<string | undefined> {
  const folder = join(runFolder, "checkpoints");
  const newest = (await checkpointSteps(folder)).at(-1);
  return newest === undefined ? undefined : join(folder, checkpointName(newest));
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
 * Reads the training state of a checkpoint; the parameters are given, as read from its model folder.
 * @throws {LingolensError} `file-not-found`, `checkpoint-damaged`, `checkpoint-mismatch`
 */
export async function loadTrainingState(
  folder: string,
  shapes: ParameterShapes,
  values: ReadonlyMap<string, Float32Array>,
): Promise<TrainingState> {
  const { step, optimizerStep } = await readStep(join(folder, STEP_FILE));
  const file = await openSafetensors(join(folder, STATE_FILE));
  const moments = async (kind: string): Promise<Float32Array> => {
    const flat = allocateFlat(shapes);
    const read = new Map<string, Float32Array>();
    for (const name of shapes.keys())
      read.set(name, (await readTensor(file, `${kind}.${name}`)).data as Float32Array);
    fillFlat(flat, read);
    return flat.flat;
  };
  const parameters = allocateFlat(shapes);
  fillFlat(parameters, values);
  return {
    step,
    parameters,
    optimizer: { step: optimizerStep, mean: await moments("mean"), square: await moments("square") },
  };
}

async function readStep(path: string): Promise<{ step: number; optimizerStep: number }> {
  const text = await readFile(path, "utf8").catch((cause) => {
    throw new LingolensError(
      "file-not-found",
      `${path}: expected the state of a training run; ${cause.message}.`,
      { cause },
    );
  });
  try {
    const { step, optimizerStep } = JSON.parse(text);
    if (Number.isInteger(step) && Number.isInteger(optimizerStep)) return { step, optimizerStep };
  } catch {}
  throw new LingolensError(
    "checkpoint-damaged",
    `${path}: expected {"step":…,"optimizerStep":…}; got ${text.slice(0, 80)}.`,
  );
}
