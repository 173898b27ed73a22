/** Lists of URLs and captions, of any length, read from front to back: TSV, CSV, JSON lines and Parquet. */
import { extname } from "node:path";
import { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects } from "hyparquet";
import { LingolensError } from "../../errors.js";
import { captionsIn, type DatasetEntry } from "../dataset.js";
import { parseCaptions } from "../formats/caption-lines.js";
import { invalid, isRecord } from "../formats/invalid.js";
import { openFile, readBytes } from "../formats/lines.js";
import { quotedFields } from "../formats/tsv.js";
import type { Columns } from "./columns.js";

/** A row of a list. A field that the row does not have is empty. */
export interface ListRow {
  readonly url: string;
  readonly caption: string;
  /** Its captions in several languages, where the list has them: JSON lines with `captions`. */
  readonly captions?: DatasetEntry["captions"];
  /** What the list calls the picture's file: JSON lines with `image`. */
  readonly image?: string;
}

/**
 * The rows, some at a time. Lines without anything on them are no rows.
 * @throws {LingolensError} `file-not-found`; `dataset-invalid` for a file that is not of its format; `config-invalid`
 * for columns that it does not have
 */
export function readList(path: string, columns: Columns): AsyncGenerator<ListRow[], void, undefined> {
  switch (extname(path).toLowerCase()) {
    case ".tsv":
    case ".txt":
      return delimited(path, columns, "\t");
    case ".csv":
      return delimited(path, columns, ",");
    case ".jsonl":
    case ".ndjson":
      return jsonLines(path, columns);
    case ".parquet":
      return parquet(path, columns);
    default:
      throw invalid(path, "a list that ends in .tsv, .csv, .jsonl or .parquet", `"${extname(path)}"`);
  }
}

const PIECE_BYTES = 4 * 2 ** 20;
const NEWLINE = 0x0a;

/** Lines of a text file, without bytes that are no UTF-8: a broken character is no reason to stop. */
async function* linesOf(path: string): AsyncGenerator<string[], void, undefined> {
  const file = await openFile(path);
  try {
    const { size } = await file.stat();
    let rest: Buffer = Buffer.alloc(0);
    for (let at = 0; at < size; at += PIECE_BYTES) {
      const bytes = Buffer.concat([rest, await readBytes(file, at, Math.min(PIECE_BYTES, size - at))]);
      const end = at + PIECE_BYTES >= size ? bytes.length : bytes.lastIndexOf(NEWLINE) + 1;
      rest = Buffer.from(bytes.subarray(end));
      if (rest.length > PIECE_BYTES) throw tooLong(path);
      // No line begins behind the last line break.
      const text = bytes.toString("utf8", 0, bytes[end - 1] === NEWLINE ? end - 1 : end);
      yield (at === 0 ? text.replace(/^\ufeff/, "") : text).split(/\r?\n/);
    }
  } finally {
    await file.close();
  }
}

function tooLong(path: string): LingolensError {
  return invalid(path, `at most ${PIECE_BYTES} bytes in a row`, "more; is a quotation mark left open?");
}

async function* delimited(
  path: string,
  columns: Columns,
  delimiter: "\t" | ",",
): AsyncGenerator<ListRow[], void, undefined> {
  let [url, caption] = [columns.url.place, columns.caption.place];
  let first = true;
  let open = "";
  for await (const lines of linesOf(path)) {
    const rows: ListRow[] = [];
    for (const line of lines) {
      if (line === "" && open === "") continue;
      const record = open === "" ? line : `${open}\n${line}`;
      // In the lists of Conceptual Captions, quotation marks mean nothing but themselves.
      const fields = delimiter === "\t" ? record.split("\t") : quotedFields(record, ",");
      open = fields ? "" : record;
      if (open.length > PIECE_BYTES) throw tooLong(path);
      if (!fields) continue;
      const named = first
        ? [columns.url.name, columns.caption.name].map((name) => placeOf(fields, name))
        : [];
      if (first && named.every((place) => place >= 0)) [url, caption] = named as [number, number];
      else rows.push({ url: fields[url]?.trim() ?? "", caption: fields[caption]?.trim() ?? "" });
      first = false;
    }
    yield rows;
  }
  if (open !== "") throw invalid(path, "every quotation mark to be closed", "the end of the file");
}

function placeOf(names: readonly string[], name: string): number {
  const exact = names.findIndex((other) => other.trim() === name);
  return exact >= 0 ? exact : names.findIndex((other) => other.trim().toLowerCase() === name.toLowerCase());
}

async function* jsonLines(path: string, columns: Columns): AsyncGenerator<ListRow[], void, undefined> {
  let line = 0;
  for await (const lines of linesOf(path)) {
    const rows: ListRow[] = [];
    for (const record of lines) {
      line += 1;
      if (record.trim() === "") continue;
      let value: unknown;
      try {
        value = JSON.parse(record);
      } catch (error) {
        throw invalid(`${path}, line ${line}`, "a JSON object", JSON.stringify(record.slice(0, 40)), error);
      }
      if (!isRecord(value)) throw invalid(`${path}, line ${line}`, "a JSON object", record.slice(0, 40));
      rows.push(describedRow(value, columns, `${path}, line ${line}`));
    }
    yield rows;
  }
}

/** A line may have captions in several languages instead of one caption. */
function describedRow(line: Record<string, unknown>, { url, caption }: Columns, place: string): ListRow {
  const row = rowOf(line[url.name], line[caption.name]);
  if (line.captions === undefined) return row;
  const captions = parseCaptions(line.captions, place);
  const [first = ""] = captionsIn({ captions }, "en").concat(...Object.values(captions));
  return {
    ...row,
    caption: row.caption || first,
    captions,
    ...(typeof line.image === "string" && { image: line.image }),
  };
}

async function* parquet(path: string, columns: Columns): AsyncGenerator<ListRow[], void, undefined> {
  // What cannot be opened is no damaged file.
  await (await openFile(path)).close();
  const file = await asyncBufferFromFile(path);
  const metadata = await damagedUnless(path, parquetMetadataAsync(file));
  const names = metadata.schema.slice(1).map(({ name }) => name);
  const [url, caption] = [columns.url.name, columns.caption.name].map((name) => {
    const found = names[placeOf(names, name)];
    if (found !== undefined) return found;
    throw new LingolensError(
      "config-invalid",
      `${path} has no column ${name}; it has ${names.join(", ")}. Name them: --columns url=NAME,caption=NAME.`,
    );
  }) as [string, string];
  let start = 0;
  for (const group of metadata.row_groups) {
    const end = start + Number(group.num_rows);
    const read = parquetReadObjects({
      file,
      metadata,
      columns: [url, caption],
      rowStart: start,
      rowEnd: end,
    });
    yield (await damagedUnless(path, read)).map((row) => rowOf(row[url], row[caption]));
    start = end;
  }
}

async function damagedUnless<T>(path: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw invalid(path, "a Parquet file", (error as Error).message.slice(0, 200), error);
  }
}

function rowOf(url: unknown, caption: unknown): ListRow {
  const text = (value: unknown) => (typeof value === "string" ? value.trim() : "");
  return { url: text(url), caption: text(caption) };
}
