/** `lingolens data check`: reads all that a dataset has, and names what is wrong with it. */
import { existsSync } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { throwIfCancelled } from "../../errors.js";
import { globFiles, hasWildcard } from "../../image/glob.js";
import type { DatasetOptions } from "../dataset.js";
import { readPlan, shardCount } from "../download/plan.js";
import { shardName } from "../download/shard-files.js";
import type { Task } from "../download/task.js";
import { partsOf } from "../inspect/dataset-parts.js";
import { checkList } from "./check-list.js";
import { checkShard } from "./check-shard.js";
import type { Problem } from "./problem.js";
import { Seen } from "./seen.js";

export interface CheckOptions extends Pick<DatasetOptions, "images" | "language"> {
  /** Any dataset, or a folder with several in `train/` and `validation/`. */
  readonly input: string;
  /** Which of several equal commands this is; shards are divided among them. */
  readonly task: Task;
  readonly onProblem: (problem: Problem) => void;
  readonly signal?: AbortSignal;
  /** Called after every file. */
  readonly onProgress?: (progress: { readonly done: number; readonly total: number }) => void;
}

/**
 * @returns how many samples were looked at
 * @throws {LingolensError} `file-not-found` for what is no dataset at all, `cancelled`
 */
export async function checkDataset(options: CheckOptions): Promise<{ readonly samples: number }> {
  const { input, task, onProblem, onProgress, signal } = options;
  const seen = new Seen();
  const files: string[] = [];
  for (const { path } of await partsOf(input)) {
    files.push(...(await filesOf(path)));
    if (task.taskIndex === 0) for (const problem of await missingShards(path)) onProblem(problem);
  }
  const own = files.filter((_, i) => i % task.taskCount === task.taskIndex);
  for (const [i, path] of own.entries()) {
    const problems = path.endsWith(".tar") ? checkShard(path, seen) : checkList(path, options, seen);
    for await (const problem of problems) {
      onProblem(problem);
      throwIfCancelled(signal);
    }
    throwIfCancelled(signal);
    onProgress?.({ done: i + 1, total: own.length });
  }
  return { samples: seen.samples };
}

/** Shards, or else the one list. */
async function filesOf(path: string): Promise<string[]> {
  const found = await stat(path).catch(() => undefined);
  if (!found && hasWildcard(path)) return globFiles(path);
  if (!found?.isDirectory()) return [path];
  const list = join(path, "captions.jsonl");
  if (existsSync(list)) return [list];
  const shards = (await readdir(path)).filter((name) => name.endsWith(".tar")).sort();
  // What else a folder may be, or that it is nothing, the reader of datasets says.
  return shards.length > 0 ? shards.map((name) => join(path, name)) : [path];
}

/** Those that `data download` was to make and has not. */
async function missingShards(folder: string): Promise<Problem[]> {
  const plan = await readPlan(folder).catch(() => undefined);
  if (!plan) return [];
  return Array.from({ length: shardCount(plan) }, (_, i) => shardName(i))
    .filter((shard) => !existsSync(join(folder, `${shard}.done.json`)))
    .map((shard) => ({
      kind: "missing",
      place: join(folder, `${shard}.tar`),
      message: "is not done yet; the command that began the folder makes it",
    }));
}
