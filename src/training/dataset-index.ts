import type { Dataset, DatasetBlock, DatasetEntry } from "../data/dataset.js";

/** A block of a dataset, and how many of its pictures count. */
export interface IndexedBlock {
  readonly block: DatasetBlock;
  readonly count: number;
}

/** What is known of a dataset without keeping its pictures: a few bytes for each block. */
export interface DatasetIndex {
  readonly blocks: readonly IndexedBlock[];
  /** Pictures in all. */
  readonly count: number;
  /** Which pictures count. */
  readonly keep: (entry: DatasetEntry) => boolean;
}

/**
 * Goes through a dataset once.
 * @throws {LingolensError} `dataset-invalid` for whatever is wrong with it, before training begins
 */
export async function indexDataset(
  dataset: Dataset,
  keep: (entry: DatasetEntry) => boolean,
): Promise<DatasetIndex> {
  const blocks: IndexedBlock[] = [];
  for await (const block of dataset.blocks()) {
    let count = 0;
    for await (const entry of block.entries()) if (keep(entry)) count += 1;
    if (count > 0) blocks.push({ block, count });
  }
  return indexOf(blocks, keep);
}

function indexOf(blocks: readonly IndexedBlock[], keep: DatasetIndex["keep"]): DatasetIndex {
  return { blocks, count: blocks.reduce((sum, { count }) => sum + count, 0), keep };
}

/** A block's pictures that count. */
export async function readBlock(
  { block, count }: IndexedBlock,
  keep: DatasetIndex["keep"],
): Promise<DatasetEntry[]> {
  const entries: DatasetEntry[] = [];
  for await (const entry of block.entries()) {
    if (keep(entry)) entries.push(entry);
    if (entries.length === count) break;
  }
  return entries;
}

/** Takes pictures off a dataset's end: the index of those before, and those themselves. */
export async function splitOff(
  { blocks, count, keep }: DatasetIndex,
  last: number,
): Promise<{ rest: DatasetIndex; last: DatasetEntry[] }> {
  const kept: IndexedBlock[] = [];
  const taken: DatasetEntry[] = [];
  let room = count - last;
  for (const indexed of blocks) {
    const own = Math.min(room, indexed.count);
    if (own > 0) kept.push({ ...indexed, count: own });
    if (own < indexed.count) taken.push(...(await readBlock(indexed, keep)).slice(own));
    room -= own;
  }
  return { rest: indexOf(kept, keep), last: taken };
}
