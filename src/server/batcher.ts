import { FairQueue } from "./fair-queue.js";

/** A piece of work that somebody waits for. */
export interface Job<T, R> {
  readonly client: string;
  readonly kind: string;
  readonly rows: number;
  readonly input: T;
  /** Aborts with the reason that `submit` is to reject with. */
  readonly signal: AbortSignal;
  /** Set by the batcher. */
  readonly settle: { resolve(result: R): void; reject(error: unknown): void };
}

export interface BatcherOptions<T, R> {
  readonly maxBatch: number;
  readonly maxRows: number;
  /** Milliseconds without a newcomer after which a batch begins. */
  readonly batchWait: number;
  readonly concurrency: number;
  /** How many more are sure to come soon: a batch waits for them for longer. Default: none. */
  readonly coming?: () => number;
  /** Works on inputs of one kind; results in their order. The signal aborts when nobody waits any more. */
  readonly run: (inputs: readonly T[], signal: AbortSignal) => Promise<readonly R[]>;
  /** Called when a batch begins. */
  readonly onBatch?: (size: number) => void;
}

/** The longest wait for company, in times of `batchWait`. */
const LONGEST_WAIT = 5;

/** The longest wait for those who are coming, as a share of the time that a batch takes. */
const PATIENCE = 0.1;

/**
 * Gathers the work of many requests into batches. While all places are taken, work gathers by itself; a batch that
 * could begin at once waits a few milliseconds for company.
 */
export class Batcher<T, R> {
  readonly #queue = new FairQueue<Job<T, R>>();
  #running = 0;
  #timer: NodeJS.Timeout | undefined;
  /** When the wait for company began. */
  #since: number | undefined;
  /** Milliseconds that a batch takes, a moving average. */
  #usual = 0;

  constructor(private readonly options: BatcherOptions<T, R>) {}

  get waiting(): number {
    return this.#queue.size;
  }

  get running(): number {
    return this.#running;
  }

  /** Rejects with the signal's reason as soon as it aborts: work that waits is dropped, a batch goes on for the others. */
  submit(work: Omit<Job<T, R>, "settle">): Promise<R> {
    return new Promise<R>((resolve, reject) => {
      const { signal } = work;
      if (signal.aborted) {
        reject(signal.reason);
        return;
      }
      const job: Job<T, R> = { ...work, settle: { resolve, reject } };
      const leave = (): void => {
        this.#queue.remove(job);
        reject(signal.reason);
      };
      signal.addEventListener("abort", leave, { once: true });
      const forget = (): void => signal.removeEventListener("abort", leave);
      job.settle.resolve = (result) => {
        forget();
        resolve(result);
      };
      job.settle.reject = (error) => {
        forget();
        reject(error);
      };
      this.#queue.push(job);
      this.#schedule();
    });
  }

  /** Waits anew with each that comes, since where there is one there may be more, but not for ever. */
  #schedule(): void {
    const { concurrency, batchWait } = this.options;
    if (this.#running >= concurrency || this.#queue.size === 0) return;
    this.#since ??= performance.now();
    clearTimeout(this.#timer);
    const left = this.#since + LONGEST_WAIT * batchWait - performance.now();
    const wait = this.#isFull ? 0 : Math.max(0, Math.min(batchWait, left));
    this.#timer = setTimeout(() => this.#endWait(), wait);
  }

  #endWait(): void {
    const { batchWait, coming } = this.options;
    const waited = performance.now() - this.#since!;
    const patience = batchWait === 0 ? 0 : PATIENCE * this.#usual;
    if (!this.#isFull && waited < patience && coming && coming() > 0) {
      this.#timer = setTimeout(() => this.#endWait(), batchWait);
      return;
    }
    this.#since = undefined;
    this.#begin();
    this.#schedule();
  }

  get #isFull(): boolean {
    return this.#queue.size >= this.options.maxBatch;
  }

  #begin(): void {
    const batch = this.#queue.take({ items: this.options.maxBatch, rows: this.options.maxRows });
    if (batch.length === 0) return;
    this.#running++;
    this.options.onBatch?.(batch.length);
    void this.#work(batch).finally(() => {
      this.#running--;
      this.#schedule();
    });
  }

  async #work(batch: readonly Job<T, R>[]): Promise<void> {
    const stop = new AbortController();
    let wanted = batch.length;
    const leave = (): void => {
      if (--wanted === 0) stop.abort();
    };
    for (const { signal } of batch) signal.addEventListener("abort", leave, { once: true });
    const since = performance.now();
    try {
      const results = await this.options.run(
        batch.map(({ input }) => input),
        stop.signal,
      );
      const took = performance.now() - since;
      this.#usual = this.#usual === 0 ? took : this.#usual * 0.9 + took * 0.1;
      batch.forEach(({ settle }, i) => {
        settle.resolve(results[i]!);
      });
    } catch (error) {
      for (const { settle } of batch) settle.reject(error);
    } finally {
      for (const { signal } of batch) signal.removeEventListener("abort", leave);
    }
  }
}
