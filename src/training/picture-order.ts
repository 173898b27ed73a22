import type { DatasetEntry } from "../data/dataset.js";
import { type DatasetIndex, readBlock } from "./dataset-index.js";
import { mixSeeds, shuffle } from "./shuffle.js";

/** Pictures shuffled among each other: as many are held in memory, by their captions and where they lie. */
const WINDOW_PICTURES = 8192;
/** Batches whose pictures are sorted by the length of their captions and dealt anew. */
const SORTED_BATCHES = 16;

export interface PictureOrderOptions {
  readonly seed: number;
  readonly batchSize: number;
  /** What batches are made alike by: the lengths of the captions that `epoch` learns of pictures. */
  readonly lengthsOf: (entries: readonly DatasetEntry[], epoch: number) => Promise<readonly number[]>;
  /** Default 8192. */
  readonly windowPictures?: number;
}

export interface OrderedBatch {
  readonly epoch: number;
  readonly entries: readonly DatasetEntry[];
  /** Entry `i`, then others of its window that can take its place where it cannot be read. */
  candidates(i: number): Iterable<DatasetEntry>;
}

/** Blocks that are shuffled as one, and the batches they give. */
interface Window {
  readonly blocks: readonly number[];
  readonly batches: number;
}

/**
 * Which pictures a step learns from, as a function of the step and the seed alone.
 *
 * An epoch takes the blocks in random order and joins so many of them to a window as hold some thousand pictures. Those
 * are shuffled, sorted by length in stretches of 16 batches so that a batch needs little padding, and the batches of
 * the window shuffled again. What does not fill a batch is left out, other pictures in every epoch. Only the window at
 * hand, and the one after it, are in memory.
 */
export class PictureOrder {
  /** First step of each epoch, as far as they were needed. */
  readonly #epochStarts = [0];
  #windows: { readonly epoch: number; readonly list: readonly Window[] } = { epoch: -1, list: [] };
  readonly #loaded = new Map<string, Promise<DatasetEntry[][]>>();

  constructor(
    private readonly index: DatasetIndex,
    private readonly options: PictureOrderOptions,
  ) {}

  async batch(step: number): Promise<OrderedBatch> {
    const { epoch, window, batch } = this.#locate(step);
    const batches = await this.#load(epoch, window);
    if (batch >= batches.length / 2) this.#loadAhead(epoch, window + 1);
    const pool = batches.flat();
    const { batchSize } = this.options;
    return {
      epoch,
      entries: batches[batch]!,
      *candidates(i) {
        const own = batch * batchSize + i;
        for (let k = 0; k < pool.length; k++) yield pool[(own + k * (batchSize + 1)) % pool.length]!;
      },
    };
  }

  #locate(step: number): { epoch: number; window: number; batch: number } {
    const starts = this.#epochStarts;
    while (starts.at(-1)! <= step) {
      const batches = this.#windowsOf(starts.length - 1).reduce((sum, window) => sum + window.batches, 0);
      starts.push(starts.at(-1)! + batches);
    }
    const epoch = starts.findLastIndex((start) => start <= step);
    let batch = step - starts[epoch]!;
    let window = 0;
    for (const { batches } of this.#windowsOf(epoch)) {
      if (batch < batches) break;
      batch -= batches;
      window += 1;
    }
    return { epoch, window, batch };
  }

  #windowsOf(epoch: number): readonly Window[] {
    if (this.#windows.epoch !== epoch) this.#windows = { epoch, list: this.#cutWindows(epoch) };
    return this.#windows.list;
  }

  #cutWindows(epoch: number): Window[] {
    const { seed, batchSize, windowPictures = WINDOW_PICTURES } = this.options;
    const { blocks, count } = this.index;
    const order = shuffle([...blocks.keys()], mixSeeds(seed, epoch));
    const parts = Math.max(1, Math.floor(count / windowPictures));
    const windows = Array.from({ length: parts }, () => ({ blocks: [] as number[], count: 0 }));
    let before = 0;
    for (const block of order) {
      const window = windows[Math.floor((before * parts) / count)]!;
      window.blocks.push(block);
      window.count += blocks[block]!.count;
      before += blocks[block]!.count;
    }
    // A set of fewer pictures than a batch gives some of them twice.
    return windows
      .filter((window) => window.count > 0)
      .map((window) => ({
        blocks: window.blocks,
        batches: Math.max(1, Math.floor(window.count / batchSize)),
      }));
  }

  #load(epoch: number, window: number): Promise<DatasetEntry[][]> {
    const key = `${epoch} ${window}`;
    let loading = this.#loaded.get(key);
    if (!loading) {
      loading = this.#readWindow(epoch, window);
      this.#loaded.set(key, loading);
      // What could not be read is tried again by whoever asks next.
      loading.catch(() => this.#loaded.delete(key));
      const [oldest] = this.#loaded.keys();
      if (this.#loaded.size > 2) this.#loaded.delete(oldest!);
    }
    return loading;
  }

  #loadAhead(epoch: number, window: number): void {
    if (window < this.#windowsOf(epoch).length) void this.#load(epoch, window);
    else void this.#load(epoch + 1, 0);
  }

  async #readWindow(epoch: number, window: number): Promise<DatasetEntry[][]> {
    const { seed, batchSize, lengthsOf } = this.options;
    const { blocks, keep } = this.index;
    const entries: DatasetEntry[] = [];
    const { blocks: own, batches } = this.#windowsOf(epoch)[window]!;
    for (const block of own) entries.push(...(await readBlock(blocks[block]!, keep)));

    const windowSeed = mixSeeds(seed, epoch, window);
    shuffle(entries, windowSeed);
    const filled = Array.from({ length: batches * batchSize }, (_, i) => entries[i % entries.length]!);
    const lengths = await lengthsOf(filled, epoch);
    const measured = filled.map((entry, i) => ({ entry, length: lengths[i]! }));
    const stretch = SORTED_BATCHES * batchSize;
    const dealt: DatasetEntry[][] = [];
    for (let start = 0; start < measured.length; start += stretch) {
      const sorted = measured.slice(start, start + stretch).sort((a, b) => a.length - b.length);
      for (let i = 0; i < sorted.length; i += batchSize)
        dealt.push(sorted.slice(i, i + batchSize).map(({ entry }) => entry));
    }
    return shuffle(dealt, windowSeed + 1);
  }
}
