/** `lingolens data download` and `data retry`: a list of URLs and captions to WebDataset shards. */
import { readFileSync } from "node:fs";
import type { LookupFunction } from "node:net";
import { availableParallelism } from "node:os";
import { resolve } from "node:path";
import { LingolensError, throwIfCancelled } from "../../errors.js";
import type { Columns } from "./columns.js";
import { Downloader, type DownloaderSettings, type RowProgress, type ShardJob } from "./downloader.js";
import { dropDuplicates } from "./duplicates.js";
import { DEFAULT_FETCH_RULES, type FetchRules } from "./fetch-picture.js";
import type { LossClass } from "./loss.js";
import { agreeOnPlan, type Plan, readPlan, shardCount, shardsOf } from "./plan.js";
import { DEFAULT_RULES, type PictureRules } from "./process-picture.js";
import { addCounts, type Counts, doneShards, readDoneMarker, shardName, tidyFolder } from "./shard-files.js";
import { ProcessWorker, type ShardWorker } from "./worker-pool.js";

/** How pictures are fetched, in both commands. */
export interface FetchingOptions {
  /** Folder of the shards. */
  readonly out: string;
  /** Limits of fetching, of all workers together. Default: `DEFAULT_FETCH_RULES`. */
  readonly fetch?: Partial<FetchRules>;
  /** Processes; 0 does all in this one. Default: one for every two processors. */
  readonly workers?: number;
  /** Resolves names instead of the system; all is done in this process then. */
  readonly lookup?: LookupFunction;
  /** Which part of the shards is this command's, from 0. Default 0. */
  readonly taskIndex?: number;
  /** In how many parts the shards are. Default 1. */
  readonly taskCount?: number;
  readonly signal?: AbortSignal;
  /** Called several times a second. `total` counts the rows that are to be done, not those that were. */
  readonly onProgress?: (progress: RowProgress & { readonly total: number }) => void;
}

export interface DownloadOptions extends FetchingOptions {
  /** A list in TSV, CSV, JSON lines or Parquet, by its ending. */
  readonly input: string;
  readonly columns: Columns;
  /** Rows of a shard. Default 1,000. */
  readonly shardSize?: number;
  /** Default: `DEFAULT_RULES`. */
  readonly pictures?: Partial<PictureRules>;
  /** Folder of the pictures that the list names as `image`; they are read from there rather than fetched. */
  readonly images?: string;
}

export interface RetryOptions extends FetchingOptions {
  /** Whether rows lost to a class are fetched again. */
  readonly isWanted: (loss: LossClass) => boolean;
}

const DEFAULT_SHARD_SIZE = 1000;

/**
 * Makes the shards that are not there. Whatever ends it, running it again makes the rest.
 * @returns what became of the rows of this task's shards, earlier runs' too
 * @throws {LingolensError} `config-invalid` where the folder was begun otherwise, `cancelled`, what reading the list
 * throws
 */
export async function downloadPictures(options: DownloadOptions): Promise<Counts> {
  const { input, columns, out, shardSize = DEFAULT_SHARD_SIZE } = options;
  await tidyFolder(out);
  const pictures = { ...DEFAULT_RULES, ...options.pictures };
  const images = options.images === undefined ? {} : { images: resolve(options.images) };
  const plan = await agreeOnPlan(out, { input, columns, shardSize, pictures, ...images });
  const done = new Set(await doneShards(out));
  const isWanted = (index: number) => isOfTask(index, options) && !done.has(shardName(index));
  let total = 0;
  for (let i = 0; i < shardCount(plan); i++) if (isWanted(i)) total += rowsOf(plan, i);
  await runJobs(shardsOf(input, columns, shardSize, isWanted), total, plan, options);
  return finish(plan, options);
}

/**
 * Fetches again what was lost to some classes, into the shards that are there.
 * @returns as `downloadPictures`
 * @throws {LingolensError} `file-not-found` for a folder without shards, `cancelled`
 */
export async function retryPictures(options: RetryOptions): Promise<Counts> {
  const { out, isWanted } = options;
  const plan = await readPlan(out);
  if (!plan)
    throw new LingolensError(
      "file-not-found",
      `${out}: expected a folder of data download, found no download.json.`,
    );
  await tidyFolder(out);
  const jobs: ShardJob[] = [];
  let total = 0;
  for (const shard of await doneShards(out)) {
    const index = Number(shard);
    if (!isOfTask(index, options)) continue;
    const { failed } = (await readDoneMarker(out, shard))!;
    const classes = (Object.keys(failed) as LossClass[]).filter(
      (loss) => loss !== "duplicate" && isWanted(loss),
    );
    if (classes.length === 0) continue;
    jobs.push({ index, retry: classes });
    for (const loss of classes) total += failed[loss] ?? 0;
  }
  await runJobs(jobs, total, plan, options);
  return finish(plan, options);
}

function rowsOf({ rows, shardSize }: Plan, index: number): number {
  return Math.min(shardSize, rows - index * shardSize);
}

function isOfTask(index: number, { taskIndex = 0, taskCount = 1 }: FetchingOptions): boolean {
  return index % taskCount === taskIndex;
}

/** Shards that a worker has begun and not ended: while the last pictures of one are waited for, the next is begun. */
const SHARDS_AT_A_TIME = 4;

async function runJobs(
  jobs: AsyncIterable<ShardJob> | Iterable<ShardJob>,
  total: number,
  plan: Plan,
  options: FetchingOptions,
): Promise<void> {
  if (total === 0) return;
  const signal = options.signal ?? new AbortController().signal;
  const workers = createWorkers(plan, options);
  const queue = (async function* () {
    yield* jobs;
  })();
  let progress: RowProgress = { rows: 0, succeeded: 0, bytes: 0 };
  const onProgress = (more: RowProgress) => {
    const { rows, succeeded, bytes } = progress;
    progress = { rows: rows + more.rows, succeeded: succeeded + more.succeeded, bytes: bytes + more.bytes };
    options.onProgress?.({ ...progress, total });
  };
  const stopped = new AbortController();
  const stop = () => stopped.abort();
  signal.addEventListener("abort", stop);

  async function runJob(worker: ShardWorker, job: ShardJob, onBegun: () => void): Promise<void> {
    const events = { onProgress, onBegun, signal: stopped.signal };
    try {
      await worker.run(job, events);
    } catch (error) {
      // A process that died may have been killed for want of memory: once more, and then it is the shard.
      if (stopped.signal.aborted || !(error instanceof LingolensError && error.code === "engine-failed"))
        throw error;
      await worker.run(job, events);
    }
  }

  async function feed(worker: ShardWorker): Promise<void> {
    const open = new Set<Promise<void>>();
    try {
      for await (const job of { [Symbol.asyncIterator]: () => ({ next: () => queue.next() }) }) {
        throwIfCancelled(stopped.signal);
        await new Promise<void>((begun, reject) => {
          const run = runJob(worker, job, begun);
          open.add(run);
          run.then(begun, reject).finally(() => open.delete(run));
        });
        while (open.size >= SHARDS_AT_A_TIME) await Promise.race(open);
      }
      await Promise.all(open);
    } catch (error) {
      stop();
      throw error;
    } finally {
      await Promise.allSettled(open);
    }
  }

  const cancelled = new Promise<never>((_, reject) =>
    stopped.signal.addEventListener("abort", () => {
      if (signal.aborted) reject(new LingolensError("cancelled", "The operation was cancelled."));
    }),
  );
  const feeding = Promise.all(workers.map(feed));
  try {
    throwIfCancelled(signal);
    await Promise.race([feeding, cancelled]);
  } finally {
    stop();
    signal.removeEventListener("abort", stop);
    await Promise.all(workers.map((worker) => worker.close()));
    await feeding.catch(() => {});
    await queue.return();
  }
}

function createWorkers(plan: Plan, options: FetchingOptions): ShardWorker[] {
  const cores = availableParallelism();
  // Processes run what was built; from the sources, as in tests, all is done here.
  const isBuilt = !import.meta.url.endsWith(".ts");
  const wanted = options.workers ?? Math.max(1, cores >> 1);
  const processes = isBuilt && !options.lookup ? wanted : 0;
  const parts = Math.max(1, processes);
  const rules = { ...DEFAULT_FETCH_RULES, userAgent: defaultUserAgent(), ...options.fetch };
  // A server of one's own needs no consideration.
  const perHost = options.fetch?.perHost ?? (rules.allowPrivate ? rules.concurrency : rules.perHost);
  const settings: DownloaderSettings = {
    out: options.out,
    shardSize: plan.shardSize,
    pictures: plan.pictures,
    ...(plan.images !== undefined && { images: plan.images }),
    fetch: {
      ...rules,
      concurrency: Math.ceil(rules.concurrency / parts),
      perHost: Math.ceil(perHost / parts),
    },
    // Twice as many as processors: between its steps, a picture waits for the thread that fetches.
    decoders: Math.ceil((2 * cores) / parts),
  };
  if (processes > 0) return Array.from({ length: processes }, () => new ProcessWorker(settings));
  return [new Downloader(settings, options.lookup ? { lookup: options.lookup } : { concurrency: 2 })];
}

/** Who asks, for the logs of those who are asked. */
function defaultUserAgent(): string {
  const { version } = JSON.parse(readFileSync(new URL("../../../package.json", import.meta.url), "utf8"));
  return `lingolens/${version} (downloads pictures for data sets; respects X-Robots-Tag)`;
}

/** The last task to finish sees all shards done, and drops what they have twice. */
async function finish(plan: Plan, options: FetchingOptions): Promise<Counts> {
  const { out, signal } = options;
  const shards = shardCount(plan);
  const done = await doneShards(out);
  if (done.length >= shards)
    await dropDuplicates({ out, shards, shardSize: plan.shardSize, ...(signal && { signal }) });
  await tidyFolder(out);
  const counts: Counts[] = [];
  for (const shard of done)
    if (isOfTask(Number(shard), options)) counts.push((await readDoneMarker(out, shard))!);
  return addCounts(counts);
}
