/** What a dataset holds: counted in one pass, in a memory that does not grow with it. */
import { stat } from "node:fs/promises";
import { LingolensError, throwIfCancelled } from "../../errors.js";
import { resolveLanguage } from "../../text/languages.js";
import { type DatasetEntry, openDataset } from "../dataset.js";
import { isRecord } from "../formats/invalid.js";
import { hashText } from "../hash-text.js";
import { partsOf } from "./dataset-parts.js";
import { type DownloadStats, readDownloadStats } from "./download-stats.js";
import { type Distribution, Histogram } from "./histogram.js";

export interface InspectOptions {
  /** Any dataset, or a folder with several in `train/` and `validation/`. */
  readonly input: string;
  readonly images?: string | undefined;
  /** Language of captions that name none. Default "en". */
  readonly language?: string | undefined;
  /** Pictures to be chosen for a page. Default 0. */
  readonly samples?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (pictures: number) => void;
}

export interface LanguageCounts {
  pictures: number;
  captions: number;
  readonly words: Histogram;
  readonly characters: Histogram;
}

export interface SplitCounts {
  pictures: number;
  captions: number;
  /** Of the pictures' files. */
  bytes: number;
  /** Pictures that are listed, and whose file is not there. */
  missing: number;
  /** By ISO code, or as the dataset says where that is none. */
  readonly languages: Map<string, LanguageCounts>;
  /** Pixels, where the dataset says. */
  readonly widths: Histogram;
  readonly heights: Histogram;
  /** By language, verdicts of the quality gate; "ok" among them. */
  readonly translations: Map<string, Map<string, number>>;
}

export interface Inspection {
  /** By what the dataset calls them; "all" where it names none. */
  readonly splits: ReadonlyMap<string, SplitCounts>;
  readonly download: DownloadStats | undefined;
  /** Some pictures, always the same ones, in the order of the dataset. */
  readonly samples: readonly DatasetEntry[];
  /** What could not be read to its end. */
  readonly problems: readonly string[];
}

/** @throws {LingolensError} `file-not-found`, `dataset-invalid` for what is no dataset at all, `cancelled` */
export async function inspectDataset(options: InspectOptions): Promise<Inspection> {
  const { input, images, language, signal } = options;
  const splits = new Map<string, SplitCounts>();
  const samples = new Samples(options.samples ?? 0);
  const problems: string[] = [];
  const downloads: DownloadStats[] = [];
  let pictures = 0;
  for (const { name, path } of await partsOf(input)) {
    const stats = await readDownloadStats(path).catch(noted(problems));
    if (stats) downloads.push(stats);
    const dataset = await openDataset(path, { images, language });
    for await (const block of dataset.blocks())
      try {
        for await (const entry of block.entries()) {
          const split = name ?? (typeof entry.fields.split === "string" ? entry.fields.split : "all");
          if (!splits.has(split)) splits.set(split, noCounts());
          await count(splits.get(split)!, entry);
          samples.offer(entry);
          pictures += 1;
          if (pictures % 1000 === 0) {
            throwIfCancelled(signal);
            options.onProgress?.(pictures);
          }
        }
      } catch (error) {
        noted(problems)(error);
      }
  }
  options.onProgress?.(pictures);
  return { splits, download: sumOf(downloads), samples: samples.chosen, problems };
}

/** A damaged part of a dataset is told of, and the rest is counted. */
function noted(problems: string[]): (error: unknown) => undefined {
  return (error) => {
    if (!(error instanceof LingolensError && error.code === "dataset-invalid")) throw error;
    problems.push(error.message);
  };
}

function noCounts(): SplitCounts {
  const none = { pictures: 0, captions: 0, bytes: 0, missing: 0 };
  return {
    ...none,
    languages: new Map(),
    widths: new Histogram(),
    heights: new Histogram(),
    translations: new Map(),
  };
}

async function count(
  counts: SplitCounts,
  { imagePath, range, captions, fields }: DatasetEntry,
): Promise<void> {
  counts.pictures += 1;
  const size = range?.length ?? (await stat(imagePath).catch(() => undefined))?.size;
  if (size === undefined) counts.missing += 1;
  else counts.bytes += size;
  if (typeof fields.width === "number") counts.widths.add(fields.width);
  if (typeof fields.height === "number") counts.heights.add(fields.height);
  for (const [name, texts] of Object.entries(captions)) {
    const lang = isoOf(name);
    let own = counts.languages.get(lang);
    if (!own) {
      own = { pictures: 0, captions: 0, words: new Histogram(), characters: new Histogram() };
      counts.languages.set(lang, own);
    }
    own.pictures += 1;
    own.captions += texts.length;
    counts.captions += texts.length;
    for (const text of texts) {
      own.words.add(text.split(/\s+/).filter(Boolean).length);
      own.characters.add([...text].length);
    }
  }
  if (isRecord(fields.translations)) countVerdicts(counts.translations, fields.translations);
}

function countVerdicts(
  counts: Map<string, Map<string, number>>,
  translations: Readonly<Record<string, unknown>>,
): void {
  for (const [lang, made] of Object.entries(translations)) {
    const own = counts.get(lang) ?? new Map<string, number>();
    counts.set(lang, own);
    for (const one of Array.isArray(made) ? made : [])
      if (isRecord(one) && typeof one.verdict === "string")
        own.set(one.verdict, (own.get(one.verdict) ?? 0) + 1);
  }
}

const isoCodes = new Map<string, string>();

function isoOf(name: string): string {
  let iso = isoCodes.get(name);
  if (iso === undefined) {
    try {
      iso = resolveLanguage(name).iso;
    } catch {
      iso = name;
    }
    isoCodes.set(name, iso);
  }
  return iso;
}

/** The entries with the least hashes: as good as drawn by lot, and the same every time. */
class Samples {
  #kept: { readonly hash: number; readonly order: number; readonly entry: DatasetEntry }[] = [];
  #order = 0;

  constructor(private readonly most: number) {}

  offer(entry: DatasetEntry): void {
    if (this.most === 0) return;
    this.#kept.push({ hash: hashText(`sample ${entry.image}`), order: this.#order++, entry });
    if (this.#kept.length >= 2 * this.most + 100) this.#cut();
  }

  #cut(): void {
    this.#kept.sort((a, b) => a.hash - b.hash || a.order - b.order);
    this.#kept.length = Math.min(this.#kept.length, this.most);
  }

  get chosen(): DatasetEntry[] {
    this.#cut();
    return [...this.#kept].sort((a, b) => a.order - b.order).map(({ entry }) => entry);
  }
}

function sumOf(parts: readonly DownloadStats[]): DownloadStats | undefined {
  if (parts.length < 2) return parts[0];
  const failed: Record<string, number> = {};
  for (const part of parts)
    for (const [loss, number] of Object.entries(part.failed)) failed[loss] = (failed[loss] ?? 0) + number;
  const total = (of: (part: DownloadStats) => number) => parts.reduce((sum, part) => sum + of(part), 0);
  return { rows: total(({ rows }) => rows), succeeded: total(({ succeeded }) => succeeded), failed };
}

/** What `data inspect --json` prints. */
export interface InspectionJson {
  readonly splits: Readonly<
    Record<
      string,
      {
        readonly pictures: number;
        readonly captions: number;
        readonly bytes: number;
        readonly missing: number;
        readonly width?: Distribution;
        readonly height?: Distribution;
        readonly languages: Readonly<
          Record<
            string,
            {
              readonly pictures: number;
              readonly captions: number;
              readonly words: Distribution;
              readonly characters: Distribution;
            }
          >
        >;
        /** By language and verdict. */
        readonly translations: Readonly<Record<string, Readonly<Record<string, number>>>>;
      }
    >
  >;
  readonly download?: DownloadStats;
  readonly problems: readonly string[];
}

export function inspectionJson({ splits, download, problems }: Inspection): InspectionJson {
  const shown = [...splits].map(([name, { widths, heights, languages, translations, ...counts }]) => {
    const [width, height] = [widths.distribution, heights.distribution];
    const byLanguage = [...languages].map(([lang, { words, characters, ...own }]) => [
      lang,
      { ...own, words: words.distribution!, characters: characters.distribution! },
    ]);
    const verdicts = [...translations].map(([lang, own]) => [lang, Object.fromEntries(own)]);
    return [
      name,
      {
        ...counts,
        ...(width && { width }),
        ...(height && { height }),
        languages: Object.fromEntries(byLanguage),
        translations: Object.fromEntries(verdicts),
      },
    ];
  });
  return { splits: Object.fromEntries(shown), ...(download && { download }), problems };
}
