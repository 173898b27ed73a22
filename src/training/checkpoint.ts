import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
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
  /** Loss and tokens of the steps since the last line of `metrics.jsonl`. */
  sinceLog: { lossSum: number; tokens: number };
}

const STATE_FILE = "training-state.safetensors";
const STEP_FILE = "training-state.json";

const stepSchema = z.object({
  step: z.int().min(0),
  optimizerStep: z.int().min(0),
  // Version 0.1 wrote neither of these.
  sinceLog: z.object({ lossSum: z.number(), tokens: z.int() }).default({ lossSum: 0, tokens: 0 }),
  /** Digest of every other file by its name. */
  sha256: z.record(z.string(), z.string()).default({}),
});

const checkpointName = (step: number): string => `step-${String(step).padStart(6, "0")}`;
const stepOf = (name: string): number => Number(/^step-(\d+)$/.exec(name)?.[1] ?? Number.NaN);

/**
 * Writes `checkpoints/step-000300/`: a model folder with the training state beside the weights. It appears whole or
 * not at all.
 * @param writeModel writes the model folder's files
 * @param keep older checkpoints than the newest so many are removed, as are later ones, which a run leaves behind that
 * went back
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
    const { step, optimizer, sinceLog } = state;
    const content = { step, optimizerStep: optimizer.step, sinceLog, sha256: await digests(aside) };
    await writeFile(join(aside, STEP_FILE), `${JSON.stringify(content)}\n`);
  });
  const steps = await checkpointSteps(folder);
  const kept = steps.filter((step) => step <= state.step).slice(-keep);
  for (const step of steps)
    if (!kept.includes(step)) await rm(join(folder, checkpointName(step)), { recursive: true, force: true });
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
 * Reads the training state of a checkpoint; the parameters are given, as read from its model folder.
 * @throws {LingolensError} `file-not-found`, `checkpoint-damaged`, `checkpoint-mismatch`
 */
export async function loadTrainingState(
  folder: string,
  shapes: ParameterShapes,
  values: ReadonlyMap<string, Float32Array>,
): Promise<TrainingState> {
  const { step, optimizerStep, sinceLog } = await readStep(join(folder, STEP_FILE));
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
    sinceLog,
  };
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
