import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { type ErrorCode, LingolensError } from "../errors.js";
import type { CaptionedPicture } from "./batch.js";
import type { ChosenCaption } from "./language-mix.js";
import { type Sample, SampleMaker, type SampleMakerOptions } from "./sample.js";

/** What a thread is asked for. */
export type SampleTask =
  | { readonly sample: Sample }
  | { readonly lists: readonly (readonly ChosenCaption[])[] };

/** What a thread answers: the result, or what is wrong. */
export type SampleAnswer =
  | { readonly result: CaptionedPicture | number[] }
  | { readonly message: string; readonly code?: ErrorCode };

interface Waiting {
  // Which of the results it is follows from what was asked for.
  readonly resolve: (result: never) => void;
  readonly reject: (error: Error) => void;
}

/** Makes samples in threads of its own, so that the thread that trains only fetches them. */
export interface SamplePool {
  /** @throws {LingolensError} what `SampleMaker.make` throws, and `handle-closed` */
  make(sample: Sample): Promise<CaptionedPicture>;
  /** Of each list of captions, the tokens of the longest. */
  longest(lists: readonly (readonly ChosenCaption[])[]): Promise<number[]>;
  close(): Promise<void>;
}

/**
 * One thread for every four processors: the rest is the engine's. On two processors, one keeps up with training the
 * bundled model (bench/loader.mjs).
 * @param threads Default: a quarter of the processors, at least one and at most eight.
 */
export function createSamplePool(
  options: SampleMakerOptions,
  threads = Math.min(8, Math.max(1, Math.floor(availableParallelism() / 4))),
): SamplePool {
  // Threads run what was built; from the sources, as in tests, samples are made here.
  if (import.meta.url.endsWith(".ts") || threads === 0) {
    const maker = new SampleMaker(options);
    return {
      make: (sample) => maker.make(sample),
      longest: async (lists) => maker.longest(lists),
      close: async () => {},
    };
  }
  return new ThreadedPool(options, threads);
}

class ThreadedPool implements SamplePool {
  readonly #threads: readonly Worker[];
  readonly #waiting = new Map<number, Waiting>();
  #failure: Error | undefined;
  #next = 0;

  constructor(options: SampleMakerOptions, threads: number) {
    this.#threads = Array.from({ length: threads }, () => {
      const thread = new Worker(new URL("./sample-worker.js", import.meta.url), { workerData: options });
      thread.on("message", (answer: SampleAnswer & { id: number }) => this.#receive(answer));
      thread.on("error", (error) => this.#fail(error));
      thread.on("exit", () =>
        this.#fail(new LingolensError("handle-closed", "The data's threads have ended.")),
      );
      // A process that has nothing else to do may end.
      thread.unref();
      return thread;
    });
  }

  make(sample: Sample): Promise<CaptionedPicture> {
    return this.#ask({ sample });
  }

  longest(lists: readonly (readonly ChosenCaption[])[]): Promise<number[]> {
    return this.#ask({ lists });
  }

  #ask<Result>(task: SampleTask): Promise<Result> {
    if (this.#failure) return Promise.reject(this.#failure);
    const id = this.#next++;
    return new Promise<Result>((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      const thread = this.#threads[id % this.#threads.length]!;
      thread.ref();
      thread.postMessage({ id, ...task });
    });
  }

  #receive(answer: SampleAnswer & { readonly id: number }): void {
    const { resolve, reject } = this.#waiting.get(answer.id)!;
    this.#waiting.delete(answer.id);
    if (this.#waiting.size === 0) for (const thread of this.#threads) thread.unref();
    if ("result" in answer) resolve(answer.result as never);
    else reject(answer.code ? new LingolensError(answer.code, answer.message) : new Error(answer.message));
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }

  async close(): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.terminate()));
  }
}
