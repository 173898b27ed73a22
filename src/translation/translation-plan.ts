/** What translated files are made of, so that a second command among them means the same. */
import { mkdir, readFile, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { LingolensError } from "../errors.js";
import type { PersonPolicy } from "../text/person-mask.js";
import { writeFileAtomically } from "../weights/atomic-file.js";
import type { TranslationCounts } from "./translated-captions.js";

/** All that translations depend on. */
export interface TranslationPlan {
  readonly from: string;
  readonly to: readonly string[];
  /** By language. */
  readonly models: Readonly<Record<string, { readonly model: string; readonly revision: string }>>;
  readonly dtype: "fp32" | "int8";
  readonly beams: number;
  readonly person: PersonPolicy;
}

/** What says that a file has been translated, and how it went. */
export interface TranslatedMarker {
  /** Name, size and time of change of what was translated. */
  readonly source: string;
  readonly entries: number;
  /** Entries that had no caption to translate. */
  readonly leftOut: number;
  readonly counts: TranslationCounts;
  /** Of a list that was joined, whose parts and their plan are gone. */
  readonly plan?: TranslationPlan;
}

/**
 * Keeps the plan in the folder, or compares it with the one that is there.
 * @throws {LingolensError} `config-invalid` where they differ
 */
export async function agreeOnPlan(folder: string, plan: TranslationPlan): Promise<void> {
  await mkdir(folder, { recursive: true });
  const path = join(folder, "translate.json");
  const before = await readJson<TranslationPlan>(path);
  if (!before) {
    await writeFileAtomically(path, (file) => file.writeFile(`${JSON.stringify(plan, null, 2)}\n`));
    return;
  }
  comparePlans(path, before, plan);
}

/** @throws {LingolensError} `config-invalid` where they differ */
export function comparePlans(where: string, before: TranslationPlan, plan: TranslationPlan): void {
  for (const name of Object.keys(plan) as (keyof TranslationPlan)[])
    if (JSON.stringify(plan[name]) !== JSON.stringify(before[name]))
      throw new LingolensError(
        "config-invalid",
        `${where}: the translation there was begun with ${name} ${JSON.stringify(before[name])}, got ` +
          `${JSON.stringify(plan[name])}. Give the same options again, or another place; languages are added by ` +
          "translating what is there into another place.",
      );
}

const MARKER_ENDING = ".translated.json";

/** The marker beside a translated file, where it belongs to this source. */
export async function readMarker(file: string, source: string): Promise<TranslatedMarker | undefined> {
  const marker = await readJson<TranslatedMarker>(file + MARKER_ENDING);
  return marker?.source === source ? marker : undefined;
}

/** To be written when the file is there: it is what counts. */
export async function writeMarker(file: string, marker: TranslatedMarker): Promise<void> {
  await writeFileAtomically(file + MARKER_ENDING, (handle) => handle.writeFile(JSON.stringify(marker)));
}

/** What a file is to a marker. */
export async function sourceName(path: string): Promise<string> {
  const { size, mtimeMs } = await stat(path);
  return `${basename(path)} ${size} ${mtimeMs}`;
}

async function readJson<T>(path: string): Promise<T | undefined> {
  try {
    return JSON.parse(await readFile(path, "utf8"));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new LingolensError(
      "dataset-invalid",
      `${path}: expected JSON. ${(error as Error).message} Remove it.`,
      {
        cause: error,
      },
    );
  }
}
