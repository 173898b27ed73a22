/**
 * Groups rows by picture in a memory that does not grow with their number: rows are dealt into files by a hash of the
 * picture, so that a picture's are in one file; each file is grouped in memory; and the files are merged in the order
 * of the pictures' first rows.
 */
import { type FileHandle, mkdtemp, open, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { writeFileAtomically } from "../../weights/atomic-file.js";
import { hashText } from "../hash-text.js";
import { linesOf } from "./lines.js";

/** A caption of a picture. */
export interface CaptionRow {
  readonly image: string;
  readonly language: string;
  readonly caption: string;
  /** Where the picture was found, where that is asked for. */
  readonly url?: string;
}

/** Captions by language by picture, pictures in the order of their first rows. */
export class CaptionGroups<Extra = undefined> {
  readonly #pictures = new Map<
    string,
    { readonly extra: Extra; readonly url: string | undefined; readonly captions: Map<string, string[]> }
  >();

  /** @param extra kept of a picture's first row */
  add({ image, language, caption, url }: CaptionRow, extra: Extra): void {
    let picture = this.#pictures.get(image);
    if (!picture) {
      picture = { extra, url, captions: new Map() };
      this.#pictures.set(image, picture);
    }
    const texts = picture.captions.get(language);
    if (texts) texts.push(caption);
    else picture.captions.set(language, [caption]);
  }

  *[Symbol.iterator](): Generator<{
    image: string;
    url: string | undefined;
    captions: Record<string, string[]>;
    extra: Extra;
  }> {
    for (const [image, { captions, url, extra }] of this.#pictures)
      yield { image, url, captions: Object.fromEntries(captions), extra };
  }
}

/** Text that is grouped in memory at a time: about five times as much memory. */
const PART_BYTES = 32 * 2 ** 20;
/** Files that may be open at once; above 8 GiB of rows, parts become larger. */
const MOST_PARTS = 256;
/** Read of each file at a time, when they are merged. */
const MERGED_BYTES = 2 ** 17;
const BUFFERED_CHARACTERS = 2 ** 16;

/**
 * Writes a list of the form of `captions.jsonl`.
 * @param size of the rows in bytes, about
 */
export async function groupOnDisk(rows: AsyncIterable<CaptionRow>, size: number, out: string): Promise<void> {
  const parts = Math.min(MOST_PARTS, Math.ceil(size / PART_BYTES));
  const folder = await mkdtemp(join(dirname(out), ".tmp-grouping-"));
  try {
    const dealt = await deal(rows, parts, folder);
    const grouped: string[] = [];
    for (const path of dealt) {
      grouped.push(`${path}.grouped`);
      await groupPart(path, grouped.at(-1)!);
      await rm(path);
    }
    await writeFileAtomically(out, async (file) => {
      const writer = new LineWriter(file);
      for await (const line of merge(grouped)) await writer.write(line);
      await writer.flush();
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function deal(rows: AsyncIterable<CaptionRow>, parts: number, folder: string): Promise<string[]> {
  const paths = Array.from({ length: parts }, (_, i) => join(folder, `${i}`));
  const files = await Promise.all(paths.map((path) => open(path, "w")));
  try {
    const writers = files.map((file) => new LineWriter(file));
    let order = 0;
    for await (const { image, caption, language, url } of rows)
      await writers[hashText(image) % parts]!.write(JSON.stringify([order++, image, language, caption, url]));
    for (const writer of writers) await writer.flush();
  } finally {
    await Promise.all(files.map((file) => file.close()));
  }
  return paths;
}

/** Writes `ORDER TAB JSON` for each picture, in the order of their first rows. */
async function groupPart(from: string, to: string): Promise<void> {
  const groups = new CaptionGroups<number>();
  for await (const { text } of linesOf(from)) {
    type Dealt = [order: number, image: string, language: string, caption: string, url: string | null];
    const [order, image, language, caption, url] = JSON.parse(text) as Dealt;
    groups.add({ image, language, caption, ...(url !== null && { url }) }, order);
  }
  const file = await open(to, "w");
  try {
    const writer = new LineWriter(file);
    for (const { image, url, captions, extra: order } of groups)
      await writer.write(`${order}\t${JSON.stringify({ image, url, captions })}`);
    await writer.flush();
  } finally {
    await file.close();
  }
}

async function* merge(paths: readonly string[]): AsyncGenerator<string> {
  const sources = paths.map((path) => linesOf(path, MERGED_BYTES));
  const next = async (source: (typeof sources)[number]) => {
    const { value, done } = await source.next();
    if (done) return undefined;
    const tab = value.text.indexOf("\t");
    return { source, order: Number(value.text.slice(0, tab)), line: value.text.slice(tab + 1) };
  };
  let heads = (await Promise.all(sources.map(next))).filter((head) => head !== undefined);
  while (heads.length > 0) {
    const first = heads.reduce((a, b) => (b.order < a.order ? b : a));
    yield first.line;
    const following = await next(first.source);
    heads = heads.flatMap((head) => (head !== first ? [head] : following ? [following] : []));
  }
}

/** Lines, written some at a time. */
class LineWriter {
  #lines: string[] = [];
  #characters = 0;

  constructor(private readonly file: FileHandle) {}

  async write(line: string): Promise<void> {
    this.#lines.push(line);
    this.#characters += line.length;
    if (this.#characters > BUFFERED_CHARACTERS) await this.flush();
  }

  async flush(): Promise<void> {
    if (this.#lines.length > 0) await this.file.appendFile(`${this.#lines.join("\n")}\n`);
    this.#lines = [];
    this.#characters = 0;
  }
}
