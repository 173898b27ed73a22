import { createNativeEngine } from "../engine/native.js";
import { LingolensError, throwIfCancelled } from "../errors.js";
import { type IdentifyLanguage, loadLanguageIdentifier } from "../evaluation/language-fidelity.js";
import { type PersonPolicy, withPersonPolicy } from "../text/person-mask.js";
import type { HubOptions } from "../weights/hub/snapshot.js";
import { batchesByLength } from "./batches.js";
import { DEFAULT_MODELS, type ModelIdentity } from "./find-model.js";
import { LanguagePair, type TranslatedText } from "./language-pair.js";
import { ATTEMPTS, protectPersons } from "./placeholders.js";
import { type Fault, faultsOf } from "./quality-gate.js";
import { splitText } from "./sentences.js";
import { TranslationMemory } from "./translation-memory.js";

export interface TranslatorOptions extends Pick<HubOptions, "offline" | "onNotice"> {
  /** ISO code of the texts' language. Default "en". */
  readonly from?: string | undefined;
  /** Where models are; see `findModel`. Default: Helsinki-NLP's on the Hugging Face hub. */
  readonly models?: string | undefined;
  /** Numbers to compute with: int8 is rounded once, into the cache, and faster. Default "fp32". */
  readonly dtype?: "fp32" | "int8" | undefined;
  /** Threads of the engine. Default: the processors that this process may use. */
  readonly threads?: number | undefined;
  /** Texts whose translations are remembered, in every language. Default 100,000. */
  readonly remembered?: number | undefined;
  /** Told of bytes while models are downloaded, converted or rounded. */
  readonly onModelProgress?: HubOptions["onProgress"];
}

export interface TranslateOptions {
  /** ISO codes of the languages to translate into. */
  readonly to: readonly string[];
  /** Hypotheses of the beam search. Default 4. */
  readonly beams?: number | undefined;
  /** What becomes of `<PERSON>`. Default "keep". */
  readonly person?: PersonPolicy | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Called after every batch with the number of translations that are done, of all texts and languages. */
  readonly onProgress?: ((progress: { readonly done: number; readonly total: number }) => void) | undefined;
}

/** A translation and where it comes from. */
export interface Translation extends ModelIdentity {
  /** What was translated: the text after the person policy. */
  readonly source: string;
  readonly text: string;
  /** Mean log-probability of its tokens, as Hugging Face's `sequences_scores`. */
  readonly score: number;
  /** What the quality gate says of it; none of a good one. */
  readonly faults: readonly Fault[];
}

/** What translates one language into another: `LanguagePair`, or a test's. */
export interface TranslatingPair extends ModelIdentity {
  readonly to: string;
  /** Tokens of the longest text that the model takes. */
  readonly longestSource: number;
  encode(text: string): number[];
  translate(
    sources: readonly (readonly number[])[],
    options: { readonly beams: number; readonly signal?: AbortSignal },
  ): Promise<TranslatedText[]>;
  close(): Promise<void>;
}

/** @param to ISO code */
export type LoadPair = (to: string, signal: AbortSignal | undefined) => Promise<TranslatingPair>;

/** Sentences of a batch and their tokens, with which a model in int8 stays below a gigabyte. */
const BATCH = { sentences: 48, tokens: 1152 };

/** Tokens up to which a text is translated as it is. */
const LONGEST_PART = 64;

/** What a call has in common for all its texts. */
interface Call {
  readonly beams: number;
  readonly signal: AbortSignal | undefined;
  /** Told how many of a language's texts are done. */
  readonly onDone: (count: number) => void;
}

/** Translates texts into any number of languages, a language at a time: one model is in memory. */
export class Translator {
  readonly #memories = new Map<string, TranslationMemory<Translation>>();
  #pair: TranslatingPair | undefined;

  private constructor(
    /** ISO code of the texts' language. */
    readonly from: string,
    private readonly load: LoadPair,
    private readonly identify: IdentifyLanguage,
    private readonly remembered: number,
    private readonly release: () => Promise<void>,
  ) {}

  /** @param loadPair what translates. Default: Marian models, run by an engine of the translator's own */
  static async create(options: TranslatorOptions = {}, loadPair?: LoadPair): Promise<Translator> {
    const { from = "en", models = DEFAULT_MODELS, dtype = "fp32", threads, remembered = 100_000 } = options;
    const { onModelProgress: onProgress, offline, onNotice } = options;
    const identify = await loadLanguageIdentifier();
    if (loadPair) return new Translator(from, loadPair, identify, remembered, async () => {});
    const engine = await createNativeEngine();
    const load: LoadPair = (to, signal) => {
      const hub = { onProgress, offline, onNotice, signal };
      return LanguagePair.load(engine, { from, to, models, dtype, threads, hub });
    };
    return new Translator(from, load, identify, remembered, () => engine.close());
  }

  /**
   * The model for a language, ready to run: downloaded, converted and rounded first where that is needed.
   * @throws {LingolensError} as `findModel`
   */
  async model(to: string, signal?: AbortSignal): Promise<ModelIdentity> {
    const { model, revision } = await this.#pairFor(to, signal);
    return { model, revision };
  }

  /**
   * Translations by language, in the order of the texts. Equal texts are translated once.
   * @throws {LingolensError} as `findModel`; `option-unsupported` for a person policy that the texts' language lacks
   */
  async translate(
    texts: readonly string[],
    { to, beams = 4, person = "keep", signal, onProgress }: TranslateOptions,
  ): Promise<Record<string, Translation[]>> {
    if (!Number.isInteger(beams) || beams < 1)
      throw new LingolensError("option-unsupported", `beams: expected a whole number from 1; got ${beams}.`);
    const sources = texts.map((text) => withPersonPolicy(text, this.from, person));
    const distinct = new Set(sources);
    const results: Record<string, Translation[]> = {};
    const total = texts.length * to.length;
    for (const [i, lang] of to.entries()) {
      const onDone = (count: number): void => {
        const share = distinct.size === 0 ? 1 : count / distinct.size;
        onProgress?.({ done: Math.floor((i + share) * texts.length), total });
      };
      const found = await this.#translateInto(lang, distinct, { beams, signal, onDone });
      results[lang] = sources.map((source) => found.get(source)!);
    }
    return results;
  }

  async #translateInto(
    to: string,
    texts: ReadonlySet<string>,
    { beams, signal, onDone }: Call,
  ): Promise<Map<string, Translation>> {
    const memory = this.#memory(to, beams);
    const found = new Map<string, Translation>();
    for (const text of texts) {
      const known = memory.get(text);
      if (known) found.set(text, known);
    }
    const isOpen = (text: string): boolean => !found.has(text);
    for (let attempt = 0; attempt < ATTEMPTS && found.size < texts.size; attempt++) {
      const pair = await this.#pairFor(to, signal);
      const open = [...texts].filter(isOpen);
      const before = found.size;
      const made = await this.#attempt(pair, open, attempt, {
        beams,
        signal,
        onDone: (count) => onDone(before + count),
      });
      for (const translation of made) {
        if (translation.faults.includes("lost-placeholder") && attempt + 1 < ATTEMPTS) continue;
        found.set(translation.source, translation);
        memory.set(translation.source, translation);
      }
    }
    onDone(found.size);
    return found;
  }

  /** Translates texts, their masked names under one of the sets of other names. */
  async #attempt(
    pair: TranslatingPair,
    texts: readonly string[],
    attempt: number,
    { beams, signal, onDone }: Call,
  ): Promise<Translation[]> {
    const most = Math.min(LONGEST_PART, pair.longestSource);
    const jobs = texts.map((source) => {
      const { text, restore } = protectPersons(source, attempt);
      const parts = splitText(text, most, (part) => pair.encode(part).length);
      return { source, restore, parts: parts.map((part) => pair.encode(part)) };
    });
    const parts = jobs.flatMap((job) => job.parts);
    const translated: TranslatedText[] = [];
    const lengths = parts.map((ids) => ids.length);
    let done = 0;
    for (const batch of batchesByLength(lengths, BATCH)) {
      throwIfCancelled(signal);
      const sources = batch.map((place) => parts[place]!);
      const results = await pair.translate(sources, { beams, ...(signal && { signal }) });
      results.forEach((result, i) => {
        translated[batch[i]!] = result;
      });
      done += batch.length;
      onDone(Math.floor((done / parts.length) * texts.length));
    }
    let place = 0;
    return jobs.map(({ source, restore, parts: own }) => {
      const results = translated.slice(place, place + own.length);
      place += own.length;
      const { text: joined, score } = together(results);
      const text = restore(joined) ?? joined;
      const { model, revision } = pair;
      const faults = faultsOf(
        { source, translation: text, from: this.from, to: pair.to, score },
        this.identify,
      );
      return { source, text, score, model, revision, faults };
    });
  }

  /** Each number of beams has translations of its own. */
  #memory(to: string, beams: number): TranslationMemory<Translation> {
    const key = `${to} ${beams}`;
    const memory = this.#memories.get(key) ?? new TranslationMemory<Translation>(this.remembered);
    this.#memories.set(key, memory);
    return memory;
  }

  async #pairFor(to: string, signal: AbortSignal | undefined): Promise<TranslatingPair> {
    if (this.#pair?.to === to) return this.#pair;
    await this.#pair?.close();
    this.#pair = undefined;
    this.#pair = await this.load(to, signal);
    return this.#pair;
  }

  async close(): Promise<void> {
    await this.#pair?.close();
    await this.release();
  }
}

/** The parts of one text; a token of one weighs as much as one of another. */
function together(parts: readonly TranslatedText[]): TranslatedText {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  return {
    text: parts.map((part) => part.text).join(" "),
    score: parts.reduce((sum, part) => sum + part.score * part.length, 0) / length,
    length,
  };
}

/**
 * Translates texts once; see `Translator`, which keeps its models and translations for more.
 * @throws {LingolensError} as `Translator.translate`
 */
export async function translateTexts(
  texts: readonly string[],
  options: TranslatorOptions & TranslateOptions,
): Promise<Record<string, Translation[]>> {
  const translator = await Translator.create(options);
  try {
    return await translator.translate(texts, options);
  } finally {
    await translator.close();
  }
}
