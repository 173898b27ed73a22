/** What a dataset's entries say once their captions have been translated. */
import type { DatasetEntry } from "../data/dataset.js";
import { captionsIn } from "../data/dataset.js";
import { type PersonPolicy, withPersonPolicy } from "../text/person-mask.js";
import { FAULTS, type Fault } from "./quality-gate.js";
import type { TranslateOptions, Translation, Translator } from "./translator.js";

/** What an entry keeps of a translation, accepted or not. */
export interface Provenance {
  readonly model: string;
  readonly revision: string;
  readonly score: number;
  /** "ok", or what was found wrong, the first fault of several. */
  readonly verdict: "ok" | Fault;
  /** The translation, where it was rejected; an accepted one is among the captions. */
  readonly rejected?: string;
}

/** Captions and, by language, where the translated ones come from. */
export interface TranslatedEntry {
  readonly captions: Readonly<Record<string, readonly string[]>>;
  readonly translations: Readonly<Record<string, readonly Provenance[]>>;
}

/** What was found wrong with a translation, to look at. */
export interface RejectedSample {
  readonly source: string;
  readonly translation: string;
  readonly score: number;
}

export interface LanguageCounts {
  accepted: number;
  rejected: Partial<Record<Fault, number>>;
  /** Some of the rejected translations by fault. */
  samples: Partial<Record<Fault, RejectedSample[]>>;
}

/** By language. */
export type TranslationCounts = Record<string, LanguageCounts>;

/** Samples of every fault and language that are kept of a part of a dataset, and shown of all. */
const SAMPLES = 5;

export interface CaptionSettings extends Omit<TranslateOptions, "onProgress"> {
  readonly person: PersonPolicy;
}

/**
 * Translates the captions of entries. Languages that an entry has already, but that are asked for, are made anew.
 * @returns in the order of the entries; undefined for one without captions in the translator's language, or whose
 * captions held nothing but masked names that are dropped
 */
export async function translateEntries(
  translator: Translator,
  entries: readonly Pick<DatasetEntry, "captions" | "fields">[],
  { person, ...options }: CaptionSettings,
): Promise<{ entries: (TranslatedEntry | undefined)[]; counts: TranslationCounts }> {
  const { from } = translator;
  const sources = entries.map((entry) =>
    captionsIn(entry, from)
      .map((text) => withPersonPolicy(text, from, person))
      .filter((text) => text !== ""),
  );
  const made = await translator.translate(sources.flat(), options);
  const counts: TranslationCounts = {};
  for (const lang of options.to) counts[lang] = { accepted: 0, rejected: {}, samples: {} };
  let place = 0;
  const translated = entries.map((entry, i): TranslatedEntry | undefined => {
    const own = sources[i]!;
    const first = place;
    place += own.length;
    if (own.length === 0) return undefined;
    const captions = { ...withoutLanguage(entry.captions, from), [from]: own };
    const translations = { ...earlierProvenance(entry) };
    for (const lang of options.to) {
      const all = made[lang]!.slice(first, place);
      for (const one of all) count(counts[lang]!, one);
      delete captions[lang];
      const good = all.filter(({ faults }) => faults.length === 0).map(({ text }) => text);
      if (good.length > 0) captions[lang] = good;
      translations[lang] = all.map(provenanceOf);
    }
    return { captions, translations };
  });
  return { entries: translated, counts };
}

/** Without the captions of a language, whichever way the entry names it. */
function withoutLanguage(
  captions: DatasetEntry["captions"],
  lang: string,
): Record<string, readonly string[]> {
  const others = Object.entries(captions).filter(
    ([name, texts]) => captionsIn({ captions: { [name]: texts } }, lang).length === 0,
  );
  return Object.fromEntries(others);
}

function earlierProvenance({ fields }: Pick<DatasetEntry, "fields">): TranslatedEntry["translations"] {
  const { translations } = fields;
  return typeof translations === "object" && translations !== null && !Array.isArray(translations)
    ? { ...translations }
    : {};
}

function provenanceOf({ text, model, revision, score, faults }: Translation): Provenance {
  const [verdict = "ok"] = faults;
  const rounded = Number(score.toFixed(4));
  return { model, revision, score: rounded, verdict, ...(verdict !== "ok" && { rejected: text }) };
}

function count(counts: LanguageCounts, { source, text, score, faults }: Translation): void {
  const [fault] = faults;
  if (fault === undefined) {
    counts.accepted++;
    return;
  }
  counts.rejected[fault] = (counts.rejected[fault] ?? 0) + 1;
  const samples = counts.samples[fault] ?? [];
  counts.samples[fault] = samples;
  if (samples.length < SAMPLES) samples.push({ source, translation: text, score: Number(score.toFixed(4)) });
}

export function addCounts(parts: readonly TranslationCounts[]): TranslationCounts {
  const sum: TranslationCounts = {};
  for (const part of parts)
    for (const [lang, { accepted, rejected, samples }] of Object.entries(part)) {
      const total = sum[lang] ?? { accepted: 0, rejected: {}, samples: {} };
      sum[lang] = total;
      total.accepted += accepted;
      for (const fault of FAULTS) {
        if (rejected[fault]) total.rejected[fault] = (total.rejected[fault] ?? 0) + rejected[fault];
        const all = [...(total.samples[fault] ?? []), ...(samples[fault] ?? [])].slice(0, SAMPLES);
        if (all.length > 0) total.samples[fault] = all;
      }
    }
  return sum;
}
