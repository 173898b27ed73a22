/**
 * The files of a shard, as img2dataset lays them out: `00000.tar` with `KEY.jpg`, `KEY.txt` and `KEY.json` of every
 * picture, `00000.parquet` with every row, lost ones too, and `00000_stats.json`. A shard is done when
 * `00000.done.json` is there.
 *
 * They are written into a folder aside, which is brought to the disk and renamed to `00000.next`. That rename is when
 * a shard comes to be: it is not done where another process has been first. Whoever finds such a folder moves its
 * files to their places; a process that ends on the way leaves the rest to the next.
 */
import { createHash, type Hash } from "node:crypto";
import { createWriteStream } from "node:fs";
import {
  type FileHandle,
  mkdir,
  readdir,
  readFile,
  rename,
  rm,
  rmdir,
  stat,
  unlink,
  writeFile,
} from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { asyncBufferFromFile, parquetReadObjects } from "hyparquet";
import { type ColumnSource, parquetWriteBuffer } from "hyparquet-writer";
import { type Pack, pack } from "tar-stream";
import { LingolensError } from "../../errors.js";
import { writeFolderAtomically } from "../../weights/atomic-file.js";
import { withFileLock } from "../../weights/hub/file-lock.js";
import { invalid } from "../formats/invalid.js";
import { openFile, readBytes } from "../formats/lines.js";
import { tarMembers } from "../formats/tar-members.js";
import { addFile } from "../formats/write-tar.js";
import type { LossClass } from "./loss.js";

/** A row of a shard. What a lost row does not have is null. */
export interface ShardRow {
  /** Number of the shard and of the row in it, such as "00012034". */
  readonly key: string;
  readonly url: string;
  readonly caption: string;
  readonly status: "success" | "failed_to_download" | "failed_to_resize" | "duplicate";
  readonly failure: LossClass | null;
  readonly error_message: string | null;
  readonly width: number | null;
  readonly height: number | null;
  readonly original_width: number | null;
  readonly original_height: number | null;
  /** Of the file that was fetched. */
  readonly sha256: string | null;
  /** Perceptual hash, 16 hexadecimal digits. */
  readonly phash: string | null;
  /** JSON: captions in several languages, of lists that have them. */
  readonly captions?: string | null;
  /** What the list calls the picture's file. */
  readonly image_file?: string | null;
}

/** Rows by what became of them; the classes add up to the rows that did not succeed. */
export interface Counts {
  readonly rows: number;
  readonly succeeded: number;
  readonly failed: Readonly<Partial<Record<LossClass, number>>>;
}

/** What `00000.done.json` holds. */
export interface DoneMarker extends Counts {
  readonly shard: string;
  /** SHA-256 of the tar file and of the list. */
  readonly sha256: { readonly tar: string; readonly parquet: string };
}

export interface ShardContent {
  /** In order of their keys. */
  readonly rows: readonly ShardRow[];
  /** The JPEG file of a row that succeeded. */
  picture(row: ShardRow): Promise<Uint8Array>;
  readonly started: Date;
  /** Called when all has been read. */
  close(): Promise<void>;
}

export function shardName(index: number): string {
  return `${index}`.padStart(5, "0");
}

/** @param shardSize rows of a shard */
export function rowKey(shard: number, row: number, shardSize: number): string {
  return `${shardName(shard)}${`${row}`.padStart(Math.ceil(Math.log10(Math.max(2, shardSize))), "0")}`;
}

/** Whose folder it is, so that it can be removed when that process is dead. */
const OWNER = "owner.json";

/** Writes to the folder aside what it needs for a while, and returns the content. */
export type FillShard = (aside: string) => Promise<ShardContent>;

/**
 * Writes a shard that is not there. Where another process was first, even one that has settled its shard since, that
 * shard stays.
 * @returns the marker of the shard that is there afterwards
 */
export function writeNewShard(out: string, shard: string, fill: FillShard): Promise<DoneMarker> {
  return writeShard(out, shard, fill, (rename) =>
    // Between the look and the rename nobody else's may come to be.
    withFileLock(join(out, ".shards.lock"), async () => {
      if (await readDoneMarker(out, shard))
        throw new LingolensError("already-exists", `${join(out, shard)}: another process wrote this shard.`);
      await rename();
    }),
  );
}

/**
 * Replaces a shard that is there. Where another process is settling a newer one, that one stays.
 * @returns the marker of the shard that is there afterwards
 */
export function replaceShard(out: string, shard: string, fill: FillShard): Promise<DoneMarker> {
  return writeShard(out, shard, fill, (rename) => rename());
}

async function writeShard(
  out: string,
  shard: string,
  fill: FillShard,
  commit: (rename: () => Promise<void>) => Promise<void>,
): Promise<DoneMarker> {
  async function fillAside(aside: string): Promise<void> {
    await writeFile(join(aside, OWNER), JSON.stringify({ host: hostname(), pid: process.pid }));
    const content = await fill(aside);
    try {
      await writeShardFiles(aside, shard, content);
    } finally {
      await content.close();
    }
  }
  try {
    await writeFolderAtomically(nextFolder(out, shard), fillAside, commit);
  } catch (error) {
    if (!(error instanceof LingolensError && error.code === "already-exists")) throw error;
  }
  await settleShard(out, shard);
  const marker = await readDoneMarker(out, shard);
  if (marker) return marker;
  throw invalid(join(out, `${shard}.done.json`), "the marker of a shard just written", "none");
}

async function writeShardFiles(
  folder: string,
  shard: string,
  { rows, picture, started }: ShardContent,
): Promise<void> {
  const tar = createHash("sha256");
  await writeTar(join(folder, `${shard}.tar`), tar, async (archive) => {
    for (const row of rows)
      if (row.status === "success") {
        await addFile(archive, `${row.key}.jpg`, await picture(row));
        await addFile(archive, `${row.key}.txt`, row.caption);
        await addFile(archive, `${row.key}.json`, describe(row));
      }
  });
  const list = new Uint8Array(parquetWriteBuffer({ columnData: columnsOf(rows) }));
  await writeFile(join(folder, `${shard}.parquet`), list);
  const counts = countRows(rows);
  await writeFile(
    join(folder, `${shard}_stats.json`),
    JSON.stringify(statsOf(rows, counts, started), null, 2),
  );
  const marker: DoneMarker = {
    shard,
    ...counts,
    sha256: { tar: tar.digest("hex"), parquet: createHash("sha256").update(list).digest("hex") },
  };
  await writeFile(join(folder, `${shard}.done.json`), JSON.stringify(marker));
}

function describe(row: ShardRow): string {
  return JSON.stringify(row.captions ? { ...row, captions: JSON.parse(row.captions) } : row);
}

async function writeTar(path: string, hash: Hash, fill: (archive: Pack) => Promise<void>): Promise<void> {
  const archive = pack();
  const hashing = new Transform({
    transform(chunk, _, done) {
      hash.update(chunk);
      done(null, chunk);
    },
  });
  const written = pipeline(archive, hashing, createWriteStream(path, { highWaterMark: 2 ** 18 }));
  // A failure to write is the error to tell, not what it does to the filling.
  await Promise.all([
    written,
    fill(archive).then(
      () => archive.finalize(),
      (error) => archive.destroy(error),
    ),
  ]);
}

const TEXT_COLUMNS = [
  "key",
  "url",
  "caption",
  "status",
  "failure",
  "error_message",
  "sha256",
  "phash",
] as const;
/** Columns that a list without such rows does not have. */
const OPTIONAL_COLUMNS = ["captions", "image_file"] as const;
const NUMBER_COLUMNS = ["width", "height", "original_width", "original_height"] as const;

function columnsOf(rows: readonly ShardRow[]): ColumnSource[] {
  const column = (type: "STRING" | "INT32") => (name: keyof ShardRow) => ({
    name,
    type,
    nullable: true,
    data: rows.map((row) => row[name] ?? null),
  });
  const optional = OPTIONAL_COLUMNS.filter((name) => rows.some((row) => row[name]));
  return [...[...TEXT_COLUMNS, ...optional].map(column("STRING")), ...NUMBER_COLUMNS.map(column("INT32"))];
}

export function countRows(rows: readonly ShardRow[]): Counts {
  const failed: Partial<Record<LossClass, number>> = {};
  for (const { failure } of rows) if (failure) failed[failure] = (failed[failure] ?? 0) + 1;
  return { rows: rows.length, succeeded: rows.filter(({ failure }) => !failure).length, failed };
}

export function addCounts(parts: readonly Counts[]): Counts {
  const failed: Partial<Record<LossClass, number>> = {};
  let [rows, succeeded] = [0, 0];
  for (const part of parts) {
    rows += part.rows;
    succeeded += part.succeeded;
    for (const [loss, count] of Object.entries(part.failed) as [LossClass, number][])
      failed[loss] = (failed[loss] ?? 0) + count;
  }
  return { rows, succeeded, failed };
}

/** img2dataset's keys, and the losses by class. */
function statsOf(rows: readonly ShardRow[], counts: Counts, started: Date): object {
  const ended = new Date();
  const withStatus = (status: ShardRow["status"]) => rows.filter((row) => row.status === status).length;
  return {
    count: counts.rows,
    successes: counts.succeeded,
    failed_to_download: withStatus("failed_to_download"),
    failed_to_resize: withStatus("failed_to_resize"),
    duplicates: withStatus("duplicate"),
    failed: counts.failed,
    status_dict: { ...(counts.succeeded > 0 && { success: counts.succeeded }), ...counts.failed },
    start_time: started.getTime() / 1000,
    end_time: ended.getTime() / 1000,
    duration: (ended.getTime() - started.getTime()) / 1000,
  };
}

/** Moves the files of a shard that has come to be to their places; several processes may do so at once. */
export async function settleShard(out: string, shard: string): Promise<void> {
  const next = nextFolder(out, shard);
  for (const name of [`${shard}.tar`, `${shard}.parquet`, `${shard}_stats.json`, `${shard}.done.json`])
    await rename(join(next, name), join(out, name)).catch(ignore("ENOENT"));
  await unlink(join(next, OWNER)).catch(ignore("ENOENT"));
  await rmdir(next).catch(ignore("ENOENT", "ENOTEMPTY", "EEXIST"));
}

/** Undefined while the shard is not done. */
export async function readDoneMarker(out: string, shard: string): Promise<DoneMarker | undefined> {
  const path = join(out, `${shard}.done.json`);
  const text = await readFile(path, "utf8").catch(ignore("ENOENT"));
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text);
  } catch (error) {
    throw invalid(path, "the marker of a shard", "other bytes", error);
  }
}

/** Names of the shards that are done, in order. */
export async function doneShards(out: string): Promise<string[]> {
  const names = await readdir(out).catch(ignore("ENOENT"));
  const done = (names ?? []).flatMap((name) => /^(\d{5,})\.done\.json$/.exec(name)?.[1] ?? []);
  return done.sort((a, b) => Number(a) - Number(b));
}

/** @throws {LingolensError} `dataset-invalid` for a damaged list */
export async function readShardRows<Name extends keyof ShardRow = keyof ShardRow>(
  out: string,
  shard: string,
  columns?: readonly Name[],
): Promise<Pick<ShardRow, Name>[]> {
  const path = join(out, `${shard}.parquet`);
  try {
    const file = await asyncBufferFromFile(path);
    return (await parquetReadObjects({ file, ...(columns && { columns: [...columns] }) })) as unknown as Pick<
      ShardRow,
      Name
    >[];
  } catch (error) {
    throw invalid(path, "the list of a shard", (error as Error).message, error);
  }
}

/** The pictures of a shard by their keys, though another process may replace its file meanwhile. */
export class ShardPictures {
  private constructor(
    private readonly path: string,
    private readonly file: FileHandle,
    private readonly places: ReadonlyMap<string, { readonly start: number; readonly length: number }>,
  ) {}

  static async open(out: string, shard: string): Promise<ShardPictures> {
    const path = join(out, `${shard}.tar`);
    const file = await openFile(path);
    const places = new Map<string, { start: number; length: number }>();
    for await (const { name, start, length } of tarMembers(path))
      if (name.endsWith(".jpg")) places.set(name.slice(0, -4), { start, length });
    if ((await stat(path)).ino === (await file.stat()).ino) return new ShardPictures(path, file, places);
    await file.close();
    return ShardPictures.open(out, shard);
  }

  async read(key: string): Promise<Uint8Array> {
    const place = this.places.get(key);
    if (!place) throw invalid(this.path, `the picture ${key}.jpg`, "none");
    return readBytes(this.file, place.start, place.length);
  }

  close(): Promise<void> {
    return this.file.close();
  }
}

/**
 * Puts a folder in order in which processes have been killed: moves to their places the files of shards that have come
 * to be, and removes what dead processes were writing. What a process on another machine left stays for a day.
 */
export async function tidyFolder(out: string): Promise<void> {
  await mkdir(out, { recursive: true });
  for (const name of await readdir(out)) {
    const shard = /^(\d{5,})\.next$/.exec(name)?.[1];
    if (shard) await settleShard(out, shard);
    else if (/^\.tmp-\d{5,}\.next-/.test(name)) await removeIfLeft(join(out, name));
  }
}

const DAY = 24 * 60 * 60 * 1000;

async function removeIfLeft(folder: string): Promise<void> {
  const written = await stat(folder).catch(ignore("ENOENT"));
  if (!written) return;
  const owner = await readFile(join(folder, OWNER), "utf8")
    .then(JSON.parse)
    .catch(() => undefined);
  const isDead = owner?.host === hostname() && !isAlive(owner.pid);
  if (isDead || Date.now() - written.mtimeMs > DAY) await rm(folder, { recursive: true, force: true });
}

function isAlive(pid: number): boolean {
  if (pid === process.pid) return true;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ESRCH";
  }
}

function nextFolder(out: string, shard: string): string {
  return join(out, `${shard}.next`);
}

function ignore(...codes: string[]): (error: NodeJS.ErrnoException) => undefined {
  return (error) => {
    if (!codes.includes(error.code ?? "")) throw error;
    return undefined;
  };
}
