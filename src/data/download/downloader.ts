/** A list's rows to a shard: fetched side by side, kept aside as they come, written in their order. */
import { createHash } from "node:crypto";
import { setMaxListeners } from "node:events";
import { throwIfCancelled } from "../../errors.js";
import { FetchError } from "../guarded-fetch.js";
import type { DnsCacheOptions } from "./dns-cache.js";
import { type FetchRules, PictureFetcher } from "./fetch-picture.js";
import { AdaptiveLimit } from "./limits.js";
import { type LossClass, PictureError } from "./loss.js";
import { MissingFileError, readPictureFile } from "./picture-file.js";
import { type PictureRules, type ProcessedPicture, processPicture } from "./process-picture.js";
import type { ListRow } from "./read-list.js";
import {
  type DoneMarker,
  readShardRows,
  replaceShard,
  rowKey,
  ShardPictures,
  type ShardRow,
  shardName,
  writeNewShard,
} from "./shard-files.js";
import { Spool } from "./spool.js";

/** What a worker needs to know; it can be sent to another process. */
export interface DownloaderSettings {
  readonly out: string;
  readonly shardSize: number;
  readonly fetch: FetchRules;
  readonly pictures: PictureRules;
  /** Folder that pictures are read from, rather than fetched. */
  readonly images?: string;
  /** Pictures decoded at a time. */
  readonly decoders: number;
}

/** A shard to be made of rows of the list, or one that is there and of which the rows lost to some classes are fetched again. */
export type ShardJob =
  | { readonly index: number; readonly rows: readonly ListRow[] }
  | { readonly index: number; readonly retry: readonly LossClass[] };

/** Rows finished, those of them that succeeded, and bytes fetched for them. */
export interface RowProgress {
  readonly rows: number;
  readonly succeeded: number;
  readonly bytes: number;
}

export interface ShardEvents {
  /** More has been done. */
  onProgress(more: RowProgress): void;
  /** All rows have at least been begun: there is room for another shard. */
  onBegun(): void;
  readonly signal: AbortSignal;
}

/** Picture files that are held in memory at a time. */
const FILES_AT_A_TIME = 16;

export class Downloader {
  readonly #fetcher: PictureFetcher;
  readonly #decoders: AdaptiveLimit;
  readonly #files = new AdaptiveLimit(FILES_AT_A_TIME);

  constructor(
    private readonly settings: DownloaderSettings,
    dns: DnsCacheOptions = {},
  ) {
    this.#fetcher = new PictureFetcher(settings.fetch, dns);
    this.#decoders = new AdaptiveLimit(settings.decoders);
  }

  /** @throws {LingolensError} `cancelled`, and what reading and writing the shard's files throws */
  run(job: ShardJob, events: ShardEvents): Promise<DoneMarker> {
    return "rows" in job ? this.#download(job, events) : this.#retry(job, events);
  }

  #download({ index, rows }: Extract<ShardJob, { rows: unknown }>, events: ShardEvents): Promise<DoneMarker> {
    return writeNewShard(this.settings.out, shardName(index), async (aside) => {
      const started = new Date();
      const keyed = rows.map((row, i) => keyedRow(row, rowKey(index, i, this.settings.shardSize)));
      const { fetched, spool } = await this.#fetchRows(keyed, aside, events);
      return {
        rows: withoutDuplicates(fetched),
        picture: ({ key }) => spool.read(key),
        close: () => spool.close(),
        started,
      };
    });
  }

  #retry({ index, retry }: Extract<ShardJob, { retry: unknown }>, events: ShardEvents): Promise<DoneMarker> {
    const { out } = this.settings;
    const shard = shardName(index);
    return replaceShard(out, shard, async (aside) => {
      const started = new Date();
      const before = await readShardRows(out, shard);
      const pictures = await ShardPictures.open(out, shard);
      try {
        const lost = before.filter(({ failure }) => failure && retry.includes(failure));
        const { fetched, spool } = await this.#fetchRows(lost, aside, events);
        const renewed = new Map(fetched.map((row) => [row.key, row]));
        return {
          rows: withoutDuplicates(before.map((row) => renewed.get(row.key) ?? row)),
          picture: ({ key }) => (renewed.has(key) ? spool.read(key) : pictures.read(key)),
          close: async () => {
            await spool.close();
            await pictures.close();
          },
          started,
        };
      } catch (error) {
        await pictures.close();
        throw error;
      }
    });
  }

  async #fetchRows(
    rows: readonly KeyedRow[],
    aside: string,
    events: ShardEvents,
  ): Promise<{ readonly fetched: ShardRow[]; readonly spool: Spool }> {
    const spool = await Spool.open(aside);
    // What goes wrong on our side, such as a full disk, ends the shard at once.
    const failing = new AbortController();
    // Every request listens.
    setMaxListeners(0, failing.signal);
    let failure: unknown;
    const stop = () => failing.abort();
    events.signal.addEventListener("abort", stop);
    let waiting = rows.length;
    const onBegun = () => {
      waiting -= 1;
      if (waiting === 0) events.onBegun();
    };
    if (waiting === 0) events.onBegun();
    try {
      const fetched = await Promise.all(
        rows.map((row) =>
          this.#fetchRow(row, spool, { ...events, signal: failing.signal, onBegun }).catch((error) => {
            failure ??= error;
            stop();
            return undefined;
          }),
        ),
      );
      throwIfCancelled(events.signal);
      if (failure !== undefined) throw failure;
      return { fetched: fetched as ShardRow[], spool };
    } catch (error) {
      await spool.close();
      throw error;
    } finally {
      events.signal.removeEventListener("abort", stop);
    }
  }

  async #fetchRow(
    { key, url, caption, captions, image_file }: KeyedRow,
    spool: Spool,
    { signal, onBegun, onProgress }: ShardEvents,
  ): Promise<ShardRow> {
    const row = { key, url, caption, ...(captions && { captions }), ...(image_file && { image_file }) };
    let sha256: string | null = null;
    let bytes = 0;
    try {
      if (caption === "") throw new FetchError("bad-url", "The row has no caption.");
      const { images } = this.settings;
      const fetched =
        images === undefined
          ? await this.#fetcher.fetch(url, onBegun, signal)
          : await this.#files.run(() => {
              onBegun();
              return readPictureFile(images, image_file ?? "", this.settings.fetch.maxBytes);
            });
      let picture: ProcessedPicture;
      try {
        bytes = fetched.bytes.length;
        sha256 = createHash("sha256").update(fetched.bytes).digest("hex");
        picture = await this.#decoders.run(() => processPicture(fetched.bytes, this.settings.pictures));
      } finally {
        fetched.release();
      }
      await spool.write(key, picture.jpeg);
      onProgress({ rows: 1, succeeded: 1, bytes });
      return {
        ...row,
        status: "success",
        failure: null,
        error_message: null,
        width: picture.width,
        height: picture.height,
        original_width: picture.originalWidth,
        original_height: picture.originalHeight,
        sha256,
        phash: picture.perceptualHash,
      };
    } catch (error) {
      const isFetching = error instanceof FetchError || error instanceof MissingFileError;
      if (!(isFetching || error instanceof PictureError)) throw error;
      if (caption === "") onBegun();
      onProgress({ rows: 1, succeeded: 0, bytes });
      const status = isFetching ? "failed_to_download" : "failed_to_resize";
      return { ...lostRow({ ...row, sha256 }, error.failure, error.message), status };
    }
  }

  close(): Promise<void> {
    return this.#fetcher.close();
  }
}

type KeyedRow = Pick<ShardRow, "key" | "url" | "caption" | "captions" | "image_file">;

function keyedRow({ url, caption, captions, image }: ListRow, key: string): KeyedRow {
  return {
    ...{ key, url, caption },
    ...(captions && { captions: JSON.stringify(captions) }),
    ...(image !== undefined && { image_file: image }),
  };
}

function lostRow(
  { key, url, caption, captions, image_file, sha256 }: KeyedRow & Pick<ShardRow, "sha256">,
  failure: LossClass,
  message: string,
): ShardRow {
  const none = { width: null, height: null, original_width: null, original_height: null, phash: null };
  return {
    ...{ key, url, caption, status: "duplicate", failure, error_message: message, ...none, sha256 },
    ...(captions && { captions }),
    ...(image_file && { image_file }),
  };
}

/** A row whose picture another has: which one, the list's order says. */
export function duplicateRow(row: ShardRow, firstKey: string): ShardRow {
  return lostRow(row, "duplicate", `The same file as ${firstKey}'s.`);
}

/** Of rows with the same file, the first keeps it. */
function withoutDuplicates(rows: readonly ShardRow[]): ShardRow[] {
  const first = new Map<string, string>();
  return rows.map((row) => {
    if (row.status !== "success" || !row.sha256) return row;
    const key = first.get(row.sha256);
    if (key !== undefined) return duplicateRow(row, key);
    first.set(row.sha256, row.key);
    return row;
  });
}
