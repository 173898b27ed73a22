/** A list whose pictures are files of their own. */
import { readFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { extname } from "node:path";
import { LingolensError } from "../../errors.js";
import { type DatasetEntry, type DatasetOptions, openDataset } from "../dataset.js";
import { captionLineReader } from "../formats/caption-lines.js";
import { linesOf } from "../formats/lines.js";
import { inOrder } from "../in-order.js";
import { checkPicture } from "./check-picture.js";
import type { Problem } from "./problem.js";
import { digestOf, type Seen } from "./seen.js";

export async function* checkList(
  path: string,
  options: DatasetOptions,
  seen: Seen,
): AsyncGenerator<Problem, void, undefined> {
  seen.begin(path);
  const read = path.endsWith(".jsonl") ? entriesByLine(path, options) : entriesByBlock(path, options);
  const checked = inOrder(read, 2 * availableParallelism(), async (entry) =>
    "kind" in entry ? entry : checkEntry(path, entry),
  );
  for await (const found of checked) {
    if ("kind" in found) {
      yield found;
      continue;
    }
    const { image, place, digest, problems } = found;
    const before = seen.add(image, digest);
    if (before.name) yield { kind: "duplicate", place, message: `is the picture of ${before.name}` };
    else if (before.picture)
      yield { kind: "duplicate", place, message: `has the same picture as ${before.picture}` };
    yield* problems;
  }
}

/** Whatever is wrong with a line, the next is read. */
async function* entriesByLine(
  path: string,
  { images }: DatasetOptions,
): AsyncGenerator<DatasetEntry | Problem> {
  const read = captionLineReader(path, images);
  for await (const line of linesOf(path)) {
    if (line.text.trim() === "") continue;
    let entry: DatasetEntry | Problem;
    try {
      entry = read(line);
    } catch (error) {
      entry = damaged(line.place, error);
    }
    yield entry;
  }
}

async function* entriesByBlock(
  path: string,
  options: DatasetOptions,
): AsyncGenerator<DatasetEntry | Problem> {
  const dataset = await openDataset(path, options);
  try {
    for await (const block of dataset.blocks())
      try {
        yield* block.entries();
      } catch (error) {
        yield damaged(path, error);
      }
  } catch (error) {
    yield damaged(path, error);
  }
}

function damaged(place: string, error: unknown): Problem {
  if (!(error instanceof LingolensError && error.code === "dataset-invalid")) throw error;
  return { kind: "damaged", place, message: error.message };
}

interface CheckedEntry {
  readonly image: string;
  readonly place: string;
  /** Of the picture, where there is one. */
  readonly digest: string | undefined;
  readonly problems: readonly Problem[];
}

async function checkEntry(path: string, { image, imagePath, fields }: DatasetEntry): Promise<CheckedEntry> {
  const place = `${path}, ${JSON.stringify(image.slice(0, 200))}`;
  let bytes: Uint8Array;
  try {
    bytes = await readFile(imagePath);
  } catch (error) {
    const message = `cannot be read: ${(error as Error).message}`;
    return { image, place, digest: undefined, problems: [{ kind: "missing", place, message }] };
  }
  const found = await checkPicture(bytes, extname(image).slice(1), fields);
  const problems = found.map((problem) => ({ ...problem, place }));
  return { image, place, digest: digestOf(bytes), problems };
}
