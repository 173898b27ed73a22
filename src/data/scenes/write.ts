/** Writes generated scenes as a dataset folder: `captions.jsonl` beside the pictures it names. */
import { mkdir, open, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { LingolensError, throwIfCancelled } from "../../errors.js";
import { encodePng } from "../../image/encode-png.js";
import { writeFileAtomically } from "../../weights/atomic-file.js";
import { type SceneCaption, sceneCaption } from "./caption.js";
import { renderScene } from "./render.js";
import { type Scene, sceneAt, statementsOf } from "./scene.js";
import type { Split } from "./splits.js";

export interface WriteScenesOptions {
  /** Number of pictures. */
  readonly count: number;
  /** Whole number; equal seeds write equal bytes. */
  readonly seed: number;
  readonly split: Split;
  /** The dataset's folder; made where it is missing. */
  readonly out: string;
  /** ISO 639-1 codes. Default: en, de, fr and es. */
  readonly languages?: readonly string[];
  /** Objects of every scene. Default: 1 to 3, see `sceneAt`. */
  readonly objects?: 1 | 2 | 3;
  /** Width and height of the pictures in pixels. Default 96. */
  readonly size?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: { readonly done: number; readonly total: number }) => void;
}

/** Pictures that are encoded and written side by side. */
const SIDE_BY_SIDE = 16;

/**
 * Writes `captions.jsonl` and `images/000001.png` and so on. The lines come last and whole: a folder that has them is
 * complete, and the same call again writes the same bytes.
 * @throws {LingolensError} `already-exists` where the folder holds another dataset; `unknown-language`;
 * `option-unsupported`; `cancelled`
 */
export async function writeScenes(options: WriteScenesOptions): Promise<void> {
  const { count, seed, split, out, languages = ["en", "de", "fr", "es"], objects, size, signal } = options;
  if (!Number.isSafeInteger(count) || count < 1) {
    throw new LingolensError(
      "option-unsupported",
      `The number of scenes must be a whole number from 1; got ${count}.`,
    );
  }
  if (languages.length === 0) {
    throw new LingolensError(
      "option-unsupported",
      "Scenes need at least one language to be described in; got none.",
    );
  }
  const scene = (index: number) =>
    sceneAt({
      split,
      seed,
      index,
      ...(objects !== undefined && { objects }),
      ...(size !== undefined && { size }),
    });
  const line = (index: number) => `${JSON.stringify(describe(scene(index), index, languages))}\n`;

  const listing = join(out, "captions.jsonl");
  await refuseOtherDataset(listing, line(0));
  await mkdir(join(out, "images"), { recursive: true });
  for (let start = 0; start < count; start += SIDE_BY_SIDE) {
    throwIfCancelled(signal);
    const indexes = Array.from({ length: Math.min(SIDE_BY_SIDE, count - start) }, (_, i) => start + i);
    await Promise.all(indexes.map((index) => writePicture(scene(index), join(out, imageName(index)))));
    options.onProgress?.({ done: start + indexes.length, total: count });
  }
  await writeFileAtomically(listing, async (file) => {
    for (let index = 0; index < count; index++) await file.write(line(index));
  });
}

function imageName(index: number): string {
  return `images/${String(index + 1).padStart(6, "0")}.png`;
}

async function writePicture(scene: Scene, path: string): Promise<void> {
  await writeFile(path, await encodePng(renderScene(scene)), { flush: true });
}

function describe(scene: Scene, index: number, languages: readonly string[]): object {
  const captions = languages.map((language) => [language, sceneCaption(scene, language)] as const);
  const byLanguage = <T>(part: (caption: SceneCaption) => T) =>
    Object.fromEntries(captions.map(([language, caption]) => [language, part(caption)]));
  return {
    image: imageName(index),
    captions: byLanguage(({ text }) => [text]),
    objects: scene.objects.map(({ kind, colour, size, box }) => ({ kind, colour, size, box })),
    relations: statementsOf(scene),
    mentions: byLanguage(({ mentions }) => mentions),
  };
}

/** A folder whose first line is the one to be written holds the same scenes, complete or of another count. */
async function refuseOtherDataset(listing: string, firstLine: string): Promise<void> {
  const expected = Buffer.from(firstLine);
  const found = Buffer.alloc(expected.length);
  try {
    const file = await open(listing, "r");
    try {
      await file.read(found, 0, found.length, 0);
    } finally {
      await file.close();
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
    throw error;
  }
  if (found.equals(expected)) return;
  throw new LingolensError(
    "already-exists",
    `${listing}: expected no dataset or the same scenes, got another dataset. Name another folder, or remove it first.`,
  );
}
