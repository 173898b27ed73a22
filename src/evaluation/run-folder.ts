/** The folder of an evaluation run, which goes on where it was stopped: captions that were written stay. */
import { type FileHandle, mkdir, open, readdir } from "node:fs/promises";
import { join } from "node:path";
import { LingolensError } from "../errors.js";
import { removeLeftovers, writeFileAtomically } from "../weights/atomic-file.js";
import { withFileLock } from "../weights/hub/file-lock.js";
import { readJsonObject } from "../weights/json-file.js";
import type { PictureLines } from "./describe-pictures.js";
import type { EvaluatedPicture } from "./evaluated-pictures.js";
import {
  CAPTIONS_FILE,
  type METRICS_FILE,
  type REPORT_FILE,
  type RunLine,
  runLineSchema,
  SETTINGS_FILE,
} from "./run-files.js";

/** What a run was asked for, as JSON. Captions made with other settings do not belong into its folder. */
export type RunSettings = Readonly<Record<string, unknown>>;

export class RunFolder {
  private constructor(
    readonly path: string,
    private readonly captions: FileHandle,
  ) {}

  /**
   * Works in the folder of a new run, or of one with these settings that is to go on, while no other process does.
   * @throws {LingolensError} `already-exists` where it is of another run, or of something else; `output-unwritable`,
   * `cancelled`, and what `work` throws
   */
  static async use<T>(
    path: string,
    settings: RunSettings,
    work: (folder: RunFolder) => Promise<T>,
    waiting: { readonly signal?: AbortSignal; readonly onWait?: () => void } = {},
  ): Promise<T> {
    const captions = await openCaptions(path, settings);
    try {
      return await withFileLock(
        join(path, CAPTIONS_FILE),
        async () => {
          await removeLeftovers(path);
          return work(new RunFolder(path, captions));
        },
        waiting,
      );
    } finally {
      await captions.close();
    }
  }

  /**
   * The lines about the first pictures, as far as they were written whole; what follows them is removed. Of a run that
   * is not at its end whole batches are kept, so that the rest is made in the same company, to the last bit.
   */
  async keep(pictures: readonly EvaluatedPicture[], batchSize: number): Promise<PictureLines[]> {
    const written = await readWhole(this.captions);
    const found: { lines: PictureLines; end: number }[] = [];
    let at = 0;
    for (const picture of pictures) {
      const lines = linesAbout(picture, written.slice(at, at + picture.references.size));
      if (!lines) break;
      at += lines.length;
      found.push({ lines: lines.map(({ line }) => line), end: lines.at(-1)!.end });
    }
    if (found.length < pictures.length) found.length -= found.length % batchSize;
    await this.captions.truncate(found.at(-1)?.end ?? 0);
    return found.map(({ lines }) => lines);
  }

  /** Adds the lines of a batch and brings them to the disk. */
  async append(batch: readonly PictureLines[]): Promise<void> {
    await this.captions.appendFile(batch.flatMap((lines) => lines.map(textOf)).join(""));
    await this.captions.datasync();
  }

  /** Writes one of the run's other files, whole or not at all. */
  async write(name: typeof METRICS_FILE | typeof REPORT_FILE, text: string): Promise<void> {
    await writeFileAtomically(join(this.path, name), (file) => file.writeFile(text));
  }
}

async function openCaptions(path: string, settings: RunSettings): Promise<FileHandle> {
  try {
    await mkdir(path, { recursive: true });
    const found = await readJsonObject(join(path, SETTINGS_FILE), "already-exists");
    if (found) refuseOther(path, found, settings);
    else await begin(path, settings);
    return await open(join(path, CAPTIONS_FILE), "a+");
  } catch (cause) {
    if (cause instanceof LingolensError) throw cause;
    throw new LingolensError(
      "output-unwritable",
      `${path}: expected a folder that can be written to. ${(cause as Error).message}. Name another.`,
      { cause },
    );
  }
}

function textOf(line: RunLine): string {
  return `${JSON.stringify(line)}\n`;
}

async function begin(path: string, settings: RunSettings): Promise<void> {
  const others = await readdir(path);
  if (others.length > 0)
    throw new LingolensError(
      "already-exists",
      `${path}: expected a new folder or an evaluation's, with ${SETTINGS_FILE}; got one with ${others[0]}. Name another.`,
    );
  await writeFileAtomically(join(path, SETTINGS_FILE), (file) =>
    file.writeFile(`${JSON.stringify(settings, null, 2)}\n`),
  );
}

function refuseOther(path: string, found: RunSettings, settings: RunSettings): void {
  const shown = (value: unknown) => JSON.stringify(value) ?? "none";
  const differing = Object.keys({ ...found, ...settings })
    .filter((name) => shown(found[name]) !== shown(settings[name]))
    .map((name) => {
      const text = `${name} ${shown(found[name])}, not ${shown(settings[name])}`;
      return text.length < 100 ? text : `another ${name}`; // What a digest stands for, nobody can see in it.
    });
  if (differing.length === 0) return;
  throw new LingolensError(
    "already-exists",
    `${path}: expected a new folder, or a run with what is asked for now; got one with ${differing.join("; ")}. ` +
      "Name another folder, or ask for the same.",
  );
}

interface WrittenLine {
  readonly line: RunLine;
  /** Where it ends in the file. */
  readonly end: number;
}

/** The lines of the file up to the first that was not written whole. */
async function readWhole(file: FileHandle): Promise<WrittenLine[]> {
  const bytes = Buffer.alloc((await file.stat()).size);
  await file.read(bytes, 0, bytes.length, 0);
  const lines: WrittenLine[] = [];
  for (let start = 0; ; ) {
    const newline = bytes.indexOf("\n", start);
    if (newline < 0) return lines;
    try {
      const line = runLineSchema.parse(JSON.parse(bytes.toString("utf8", start, newline)));
      lines.push({ line, end: newline + 1 });
    } catch {
      return lines;
    }
    start = newline + 1;
  }
}

/** The first of these lines as far as they are all there are about a picture; else nothing. */
function linesAbout(
  { image, references }: EvaluatedPicture,
  [first, ...more]: readonly WrittenLine[],
): WrittenLine[] | undefined {
  if (!first || first.line.image !== image) return undefined;
  if ("error" in first.line) return [first];
  const isWhole = more.length + 1 === references.size && more.every(({ line }) => line.image === image);
  return isWhole ? [first, ...more] : undefined;
}
