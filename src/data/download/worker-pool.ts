/** Processes that make shards. Each has its own event loop and memory, and a decoder that crashes takes one of them. */
import { type ChildProcess, fork } from "node:child_process";
import { type ErrorCode, LingolensError } from "../../errors.js";
import type { DownloaderSettings, RowProgress, ShardEvents, ShardJob } from "./downloader.js";
import type { DoneMarker } from "./shard-files.js";

export interface ShardWorker {
  /** @throws {LingolensError} what `Downloader.run` throws, and `engine-failed` when the process died */
  run(job: ShardJob, events: ShardEvents): Promise<DoneMarker>;
  close(): Promise<void>;
}

export type ToWorker = { readonly settings: DownloaderSettings } | { readonly job: ShardJob };

export type FromWorker =
  | { readonly progress: RowProgress }
  | { readonly begun: number }
  | { readonly done: number; readonly marker: DoneMarker }
  | { readonly failed: number; readonly message: string; readonly code?: ErrorCode };

interface Running {
  readonly events: ShardEvents;
  readonly resolve: (marker: DoneMarker) => void;
  readonly reject: (error: Error) => void;
}

/** Threads of libuv's pool: 64 names may be resolved in them, and pictures are to be decoded and written meanwhile. */
const THREADS = 96;

export class ProcessWorker implements ShardWorker {
  readonly #running = new Map<number, Running>();
  #process: ChildProcess | undefined;

  constructor(private readonly settings: DownloaderSettings) {}

  run(job: ShardJob, events: ShardEvents): Promise<DoneMarker> {
    return new Promise((resolve, reject) => {
      const child = this.#start();
      this.#running.set(job.index, { events, resolve, reject });
      child.send({ job } satisfies ToWorker);
    });
  }

  /** One that died is followed by another. */
  #start(): ChildProcess {
    if (this.#process) return this.#process;
    const child = fork(new URL("./worker-process.js", import.meta.url), {
      env: { ...process.env, UV_THREADPOOL_SIZE: `${THREADS}` },
      serialization: "advanced",
      stdio: ["ignore", "ignore", "inherit", "ipc"],
    });
    child.on("message", (message: FromWorker) => this.#receive(message));
    child.on("error", (error) => this.#fail(error));
    child.on("exit", (code, signal) => {
      if (this.#process === child) this.#process = undefined;
      this.#fail(
        new LingolensError(
          "engine-failed",
          `A process that fetches pictures ended (${signal ?? `exit code ${code}`}).`,
        ),
      );
    });
    child.send({ settings: this.settings } satisfies ToWorker);
    this.#process = child;
    return child;
  }

  #receive(message: FromWorker): void {
    if ("progress" in message) {
      // Of no shard in particular; all have the same listener.
      this.#running.values().next().value?.events.onProgress(message.progress);
    } else if ("begun" in message) this.#running.get(message.begun)?.events.onBegun();
    else if ("done" in message) this.#take(message.done)?.resolve(message.marker);
    else {
      const { message: text, code } = message;
      this.#take(message.failed)?.reject(code ? new LingolensError(code, text) : new Error(text));
    }
  }

  #take(index: number): Running | undefined {
    const running = this.#running.get(index);
    this.#running.delete(index);
    return running;
  }

  #fail(error: Error): void {
    const all = [...this.#running.values()];
    this.#running.clear();
    for (const { reject } of all) reject(error);
  }

  async close(): Promise<void> {
    const child = this.#process;
    if (!child) return;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGKILL");
    await ended;
  }
}
