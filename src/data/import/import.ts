/** `lingolens data import`: the original's list, a row a caption, to shards with a sample a picture. */
import { mkdir, readFile, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { LingolensError } from "../../errors.js";
import { writeFileAtomically } from "../../weights/atomic-file.js";
import { withFileLock } from "../../weights/hub/file-lock.js";
import { type DownloadOptions, downloadPictures } from "../download/download.js";
import { identityOf, type Plan } from "../download/plan.js";
import type { Counts } from "../download/shard-files.js";
import { groupOnDisk } from "../formats/group-rows.js";
import { tsvRows } from "../formats/tsv.js";

/** `input` is a TSV of image_file, caption, url and lang_id. */
export type ImportOptions = Omit<DownloadOptions, "columns">;

const COLUMNS = { url: { place: 0, name: "url" }, caption: { place: 1, name: "caption" } };

/**
 * Joins the rows of each picture and makes a sample of it, fetched once or read from `images`. Whatever ends it,
 * running it again makes the rest.
 * @returns what became of the pictures of this task's shards, earlier runs' too
 * @throws {LingolensError} as `downloadPictures`; `dataset-invalid` with the line
 */
export async function importList(options: ImportOptions): Promise<Counts> {
  const list = await pictureList(options);
  return downloadPictures({ ...options, input: list, columns: COLUMNS });
}

/** `list.jsonl` in the folder: a line a picture. Whoever comes first writes it. */
async function pictureList({ input, out, signal }: ImportOptions): Promise<string> {
  const list = join(out, "list.jsonl");
  const record = join(out, "import.json");
  await mkdir(out, { recursive: true });
  await withFileLock(
    join(out, ".import.lock"),
    async () => {
      const identity = await identityOf(input);
      const before = await readIdentity(record);
      if (before && JSON.stringify(before) === JSON.stringify(identity)) return;
      if (before)
        throw new LingolensError(
          "config-invalid",
          `${record}: the shards there were begun with ${before.name}, of ${before.bytes} bytes, got ` +
            `${basename(input)}, of ${identity.bytes}. Give the same list again, or another folder.`,
        );
      await groupOnDisk(tsvRows(input, true), (await stat(input)).size, list);
      await writeFileAtomically(record, (file) => file.writeFile(JSON.stringify(identity)));
    },
    { signal },
  );
  return list;
}

async function readIdentity(path: string): Promise<Plan["input"] | undefined> {
  const text = await readFile(path, "utf8").catch((error) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
  return text === undefined ? undefined : JSON.parse(text);
}
