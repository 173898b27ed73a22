/**
 * Drops pictures that another shard has too. Of rows with the same file the first of the list keeps it, so the result
 * is the same whoever fetched which shard when. Nothing else of a row matters, least of all the order of fetching,
 * which is why this comes last: when the last shard is done.
 */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { throwIfCancelled } from "../../errors.js";
import { writeFileAtomically } from "../../weights/atomic-file.js";
import { withFileLock } from "../../weights/hub/file-lock.js";
import { FirstRows } from "../first-rows.js";
import { duplicateRow } from "./downloader.js";
import {
  readDoneMarker,
  readShardRows,
  replaceShard,
  rowKey,
  ShardPictures,
  shardName,
} from "./shard-files.js";

/** Files remembered at a time, in 40 bytes each; more of them are dealt with in several passes over the lists. */
const FILES_AT_A_TIME = 4_000_000;

export interface DropDuplicatesOptions {
  readonly out: string;
  /** Number of shards, all of them done. */
  readonly shards: number;
  readonly shardSize: number;
  readonly filesAtATime?: number;
  readonly signal?: AbortSignal;
}

/** Does nothing where the same shards have been looked at before. Others may do the same meanwhile. */
export async function dropDuplicates(options: DropDuplicatesOptions): Promise<void> {
  const { out, shards, shardSize, signal } = options;
  const marker = join(out, "duplicates.done.json");
  await withFileLock(
    join(out, ".duplicates.lock"),
    async () => {
      if ((await digestOf(out, shards)) === (await digestIn(marker))) return;
      for (const [shard, rows] of await findDuplicates(options)) {
        throwIfCancelled(signal);
        await dropRows(out, shard, shardSize, rows);
      }
      const digest = await digestOf(out, shards);
      await writeFileAtomically(marker, async (file) => {
        await file.writeFile(JSON.stringify({ shards, digest }));
      });
    },
    { signal },
  );
}

/** Of what all shards hold. */
async function digestOf(out: string, shards: number): Promise<string> {
  const hash = createHash("sha256");
  for (let i = 0; i < shards; i++)
    hash.update((await readDoneMarker(out, shardName(i)))?.sha256.parquet ?? "none");
  return hash.digest("hex");
}

async function digestIn(path: string): Promise<string | undefined> {
  try {
    return JSON.parse(await readFile(path, "utf8")).digest;
  } catch {
    return undefined;
  }
}

/** By shard, the rows whose file an earlier row has, with the number of that row in the whole list. */
async function findDuplicates({
  out,
  shards,
  shardSize,
  filesAtATime = FILES_AT_A_TIME,
  signal,
}: DropDuplicatesOptions): Promise<Map<number, Map<number, number>>> {
  const found = new Map<number, Map<number, number>>();
  const passes = Math.ceil((shards * shardSize) / filesAtATime);
  for (let pass = 0; pass < passes; pass++) {
    const seen = new FirstRows();
    for (let shard = 0; shard < shards; shard++) {
      throwIfCancelled(signal);
      const rows = await readShardRows(out, shardName(shard), ["sha256", "failure"]);
      for (const [i, { sha256, failure }] of rows.entries()) {
        if (failure || !sha256 || Number.parseInt(sha256.slice(0, 8), 16) % passes !== pass) continue;
        const first = seen.firstWith(sha256, shard * shardSize + i);
        if (first === undefined) continue;
        const ofShard = found.get(shard) ?? new Map<number, number>();
        found.set(shard, ofShard.set(i, first));
      }
    }
  }
  return found;
}

async function dropRows(
  out: string,
  index: number,
  shardSize: number,
  duplicates: ReadonlyMap<number, number>,
): Promise<void> {
  const shard = shardName(index);
  await replaceShard(out, shard, async () => {
    const started = new Date();
    const rows = await readShardRows(out, shard);
    const pictures = await ShardPictures.open(out, shard);
    return {
      rows: rows.map((row, i) => {
        const first = duplicates.get(i);
        if (first === undefined || row.failure) return row;
        return duplicateRow(row, rowKey(Math.floor(first / shardSize), first % shardSize, shardSize));
      }),
      picture: ({ key }) => pictures.read(key),
      close: () => pictures.close(),
      started,
    };
  });
}
