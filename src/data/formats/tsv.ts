/**
 * The original's lists: tab-separated `image_file caption url lang_id`, a row for each caption, as Python's csv writes
 * them (a field with a quotation mark, a tab or a line break stands in quotation marks).
 */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { LingolensError } from "../../errors.js";
import { userCacheFolder } from "../../user-cache.js";
import type { DatasetBlock, DatasetEntry } from "../dataset.js";
import { captionLines } from "./caption-lines.js";
import { CaptionGroups, type CaptionRow, groupOnDisk } from "./group-rows.js";
import { invalid } from "./invalid.js";
import { linesOf } from "./lines.js";
import { folderOfPictures, pathWithin } from "./picture-path.js";

/** Lists up to this size are grouped in memory. */
const IN_MEMORY_BYTES = 64 * 2 ** 20;

/**
 * Pictures in the order of their first rows. A picture's rows may be anywhere: the original's translation wrote them in
 * runs of 1,024 pictures a language. So a list is grouped first: in memory, or a large one on disk, once, into the
 * user's cache.
 * @throws {LingolensError} `file-not-found`; `dataset-invalid` with the line
 */
export async function* tsvBlocks(path: string, images?: string): AsyncGenerator<DatasetBlock> {
  const folder = folderOfPictures(path, images);
  const { size, mtimeMs } = await stat(path).catch((cause: Error) => {
    throw new LingolensError("file-not-found", `${path} cannot be read: ${cause.message}.`, { cause });
  });
  if (size > IN_MEMORY_BYTES) {
    yield* captionLines(await groupedList(path, `${resolve(path)} ${size} ${mtimeMs}`), folder);
    return;
  }
  const groups = new CaptionGroups();
  for await (const row of tsvRows(path)) groups.add(row, undefined);
  yield {
    async *entries() {
      for (const { image, captions } of groups)
        yield { image, imagePath: resolve(folder, image), captions, fields: {} } satisfies DatasetEntry;
    },
  };
}

async function groupedList(path: string, identity: string): Promise<string> {
  const folder = join(userCacheFolder(), "grouped-lists");
  const name = createHash("sha256").update(identity).digest("hex").slice(0, 32);
  const grouped = join(folder, `${name}.jsonl`);
  if (existsSync(grouped)) return grouped;
  try {
    await mkdir(folder, { recursive: true });
  } catch (cause) {
    throw new LingolensError(
      "cache-unwritable",
      `${folder}: ${path} has to be grouped by picture there, and ${(cause as Error).message}. Set XDG_CACHE_HOME to ` +
        "a folder that can be written to.",
      { cause },
    );
  }
  await groupOnDisk(tsvRows(path), (await stat(path)).size, grouped);
  return grouped;
}

const COLUMNS = ["image_file", "caption", "url", "lang_id"] as const;

/**
 * Rows with a caption; a header says which column is which, and without one they are the original's.
 * @param withUrls whether rows have the URL of their picture; empty where the list has no such column
 */
export async function* tsvRows(path: string, withUrls = false): AsyncGenerator<CaptionRow, void, undefined> {
  let columns: readonly string[] = COLUMNS;
  let first = true;
  for await (const { fields, place } of tsvRecords(path)) {
    if (first && fields.includes("image_file")) {
      const missing = ["image_file", "caption", "lang_id"].find((name) => !fields.includes(name));
      if (missing) throw invalid(place, `a column ${missing}`, fields.join(", "));
      columns = fields;
    } else {
      if (fields.length !== columns.length)
        throw invalid(place, `${columns.length} columns (${columns.join(", ")})`, `${fields.length}`);
      const value = (name: string) => fields[columns.indexOf(name)]?.trim() ?? "";
      const [image, caption, language] = [value("image_file"), value("caption"), value("lang_id")];
      if (image === "" || language === "") throw invalid(place, "image_file and lang_id", "an empty one");
      pathWithin(".", image, place);
      // The translation left some captions empty; there is nothing to be learnt from those.
      if (caption !== "") yield { image, caption, language, ...(withUrls && { url: value("url") }) };
    }
    first = false;
  }
}

const LONGEST_RECORD = 4 * 2 ** 20;

async function* tsvRecords(path: string): AsyncGenerator<{ fields: string[]; place: string }> {
  let open = "";
  let from = "";
  for await (const { text, place } of linesOf(path)) {
    const line = text.endsWith("\r") ? text.slice(0, -1) : text;
    if (open === "" && line === "") continue;
    if (open === "") from = place;
    open += open === "" ? line : `\n${line}`;
    if (open.length > LONGEST_RECORD)
      throw invalid(from, "a quotation mark to be closed", "none within 4 MiB");
    const fields = open.includes('"') ? quotedFields(open) : open.split("\t");
    if (!fields) continue;
    yield { fields, place: from };
    open = "";
  }
  if (open !== "") throw invalid(from, "a quotation mark to be closed", "the end of the file");
}

/** Fields of a record; undefined where one is still open at its end. A quotation mark within a field is itself. */
export function quotedFields(record: string, delimiter = "\t"): string[] | undefined {
  const fields: string[] = [];
  let at = 0;
  for (;;) {
    let field = "";
    if (record[at] === '"') {
      let end = at;
      do {
        const close = record.indexOf('"', end + 1);
        if (close < 0) return undefined;
        if (end > at) field += '"';
        field += record.slice(end + 1, close);
        end = close + 1;
      } while (record[end] === '"');
      at = end;
    }
    const next = record.indexOf(delimiter, at);
    fields.push(field + record.slice(at, next < 0 ? undefined : next));
    if (next < 0) return fields;
    at = next + 1;
  }
}
