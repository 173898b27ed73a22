import { LingolensError } from "../errors.js";
import { type Snapshot, saveCheckpoint, type TrainingState, takeSnapshot } from "./checkpoint.js";
import type { Collective } from "./collective/collective.js";
import { oneProcess } from "./collective/one-process.js";
import type { FlatTensors } from "./parameters.js";
import type { SharedLoops } from "./shared-loops.js";

export interface CheckpointWriterOptions {
  /** The run folder. */
  readonly out: string;
  readonly loops: SharedLoops;
  /** Default: one process. */
  readonly collective?: Collective;
  /** See `saveCheckpoint`. */
  readonly keep: number;
  readonly writeModel: (folder: string, parameters: FlatTensors) => Promise<void>;
}

/**
 * Writes checkpoints while training goes on: the state is copied on the spot, and the copy written aside. All ranks start
 * one at the same step; rank 0 writes it.
 */
export class CheckpointWriter {
  #writing: Promise<void> = Promise.resolve();
  #failure: unknown;

  constructor(private readonly options: CheckpointWriterOptions) {}

  /** Starts to write the state as it is now, once the checkpoint before it is written. */
  async start(state: TrainingState, evaluationLoss?: number): Promise<void> {
    await this.finish();
    const { loops, collective = oneProcess } = this.options;
    const snapshot = await takeSnapshot(loops, state, collective, evaluationLoss);
    if (!snapshot) return;
    this.#writing = this.#write(snapshot).catch((error) => {
      this.#failure = error;
    });
  }

  async #write(snapshot: Snapshot): Promise<void> {
    const { out, writeModel, keep } = this.options;
    await inRunFolder(out, () => saveCheckpoint(out, snapshot, writeModel, keep));
  }

  /** Throws what the last checkpoint failed with. */
  check(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Waits for the last checkpoint and throws what it failed with. */
  async finish(): Promise<void> {
    await this.#writing;
    this.check();
  }

  /** Waits for the last checkpoint, whether or not it fails. */
  settled(): Promise<void> {
    return this.#writing;
  }
}

/**
 * Runs what writes to the run folder.
 * @throws {LingolensError} `output-unwritable` where the system refuses, as with a full disk; what is typed already as it
 * is
 */
export async function inRunFolder<T>(out: string, write: () => Promise<T>): Promise<T> {
  try {
    return await write();
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (cause instanceof LingolensError || code === undefined) throw cause;
    throw new LingolensError(
      "output-unwritable",
      `${out} cannot be written to: ${message}. The checkpoints in it are whole; make room or give the right to write, ` +
        "then run the same command again to go on from the newest.",
      { cause },
    );
  }
}
