/** What the `*_stats.json` beside shards say of the rows that were to be fetched: ours, and img2dataset's. */
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { invalid, isRecord, kindOf } from "../formats/invalid.js";

export interface DownloadStats {
  readonly rows: number;
  readonly succeeded: number;
  /** By class, the most frequent first. */
  readonly failed: Readonly<Record<string, number>>;
}

/**
 * The sum over a folder; undefined where there are none.
 * @throws {LingolensError} `dataset-invalid` for a file that is not of that form
 */
export async function readDownloadStats(folder: string): Promise<DownloadStats | undefined> {
  const found = await stat(folder).catch(() => undefined);
  if (!found?.isDirectory()) return undefined;
  const names = (await readdir(folder)).filter((name) => name.endsWith("_stats.json"));
  if (names.length === 0) return undefined;
  let [rows, succeeded] = [0, 0];
  const failed = new Map<string, number>();
  for (const name of names) {
    const stats = await readStats(join(folder, name));
    rows += stats.rows;
    succeeded += stats.succeeded;
    for (const [loss, count] of Object.entries(stats.failed))
      failed.set(loss, (failed.get(loss) ?? 0) + count);
  }
  const sorted = [...failed].sort(([, a], [, b]) => b - a);
  return { rows, succeeded, failed: Object.fromEntries(sorted) };
}

/** @throws {LingolensError} `dataset-invalid` */
export async function readStats(path: string): Promise<DownloadStats> {
  let stats: unknown;
  try {
    stats = JSON.parse(await readFile(path, "utf8"));
  } catch (error) {
    throw invalid(path, "the counts of a shard as JSON", "other bytes", error);
  }
  if (!isRecord(stats)) throw invalid(path, "an object", kindOf(stats));
  const { count, successes, status_dict: statuses } = stats;
  if (typeof count !== "number" || typeof successes !== "number" || !isRecord(statuses))
    throw invalid(path, "count, successes and status_dict", Object.keys(stats).join(", ").slice(0, 200));
  const failed = Object.entries(statuses).filter(
    (entry): entry is [string, number] => entry[0] !== "success" && typeof entry[1] === "number",
  );
  return { rows: count, succeeded: successes, failed: Object.fromEntries(failed) };
}
