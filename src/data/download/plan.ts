/** What a folder of shards is made of: a second command in it must mean the same. */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { LingolensError } from "../../errors.js";
import { writeFileAtomically } from "../../weights/atomic-file.js";
import { openFile, readBytes } from "../formats/lines.js";
import type { Columns } from "./columns.js";
import type { PictureRules } from "./process-picture.js";
import { type ListRow, readList } from "./read-list.js";

/** `download.json`: all that the content of the shards depends on, the web apart. */
export interface Plan {
  readonly input: { readonly name: string; readonly bytes: number; readonly ends: string };
  readonly columns: Columns;
  readonly rows: number;
  readonly shardSize: number;
  readonly pictures: PictureRules;
  /** Folder that pictures are read from, rather than fetched. */
  readonly images?: string;
}

export interface PlanOptions {
  readonly input: string;
  readonly columns: Columns;
  readonly shardSize: number;
  readonly pictures: PictureRules;
  readonly images?: string;
}

/**
 * Keeps the plan in the folder, or compares it with the one that is there.
 * @throws {LingolensError} `config-invalid` where they differ; what reading the list throws
 */
export async function agreeOnPlan(out: string, options: PlanOptions): Promise<Plan> {
  const { input, ...rest } = options;
  const identity = await identityOf(input);
  const path = join(out, "download.json");
  const before = await readPlan(out);
  if (before) {
    const { rows, ...asked } = before;
    const wanted: Omit<Plan, "rows"> = { input: identity, ...rest };
    for (const name of Object.keys(wanted) as (keyof typeof wanted)[])
      if (JSON.stringify(wanted[name]) !== JSON.stringify(asked[name]))
        throw new LingolensError(
          "config-invalid",
          `${path}: the shards there were begun with ${name} ${JSON.stringify(asked[name])}, got ` +
            `${JSON.stringify(wanted[name])}. Give the same options again, or another folder.`,
        );
    return before;
  }
  let rows = 0;
  for await (const some of readList(input, options.columns)) rows += some.length;
  const plan: Plan = { input: identity, ...rest, rows };
  await writeFileAtomically(path, (file) => file.writeFile(JSON.stringify(plan, null, 2)));
  return plan;
}

export async function readPlan(out: string): Promise<Plan | undefined> {
  const text = await readFile(join(out, "download.json"), "utf8").catch((error) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
  return text === undefined ? undefined : JSON.parse(text);
}

export function shardCount({ rows, shardSize }: Plan): number {
  return Math.ceil(rows / shardSize);
}

const END_BYTES = 2 ** 16;

/** Size, and a digest of what it begins and ends with: a list is changed by adding rows, if at all. */
export async function identityOf(path: string): Promise<Plan["input"]> {
  const file = await openFile(path);
  try {
    const { size } = await file.stat();
    const hash = createHash("sha256");
    hash.update(await readBytes(file, 0, Math.min(size, END_BYTES)));
    hash.update(await readBytes(file, Math.max(0, size - END_BYTES), Math.min(size, END_BYTES)));
    return { name: basename(path), bytes: size, ends: hash.digest("hex").slice(0, 32) };
  } finally {
    await file.close();
  }
}

/** Cuts a list into the rows of its shards, of which only those wanted are kept. */
export async function* shardsOf(
  input: string,
  columns: Columns,
  shardSize: number,
  isWanted: (index: number) => boolean,
): AsyncGenerator<{ readonly index: number; readonly rows: readonly ListRow[] }, void, undefined> {
  let index = 0;
  let rows: ListRow[] = [];
  // Rows of the shard so far, those that are not kept too.
  let filled = 0;
  for await (const some of readList(input, columns))
    for (let at = 0; at < some.length; ) {
      const taken = Math.min(shardSize - filled, some.length - at);
      if (isWanted(index)) rows = rows.concat(some.slice(at, at + taken));
      filled += taken;
      at += taken;
      if (filled < shardSize) continue;
      if (isWanted(index)) yield { index, rows };
      [index, rows, filled] = [index + 1, [], 0];
    }
  if (filled > 0 && isWanted(index)) yield { index, rows };
}
