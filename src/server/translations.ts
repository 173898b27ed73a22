import { readdir } from "node:fs/promises";
import { z } from "zod";
import { Turns } from "../engine/turns.js";
import { LingolensError } from "../errors.js";
import { resolveLanguage } from "../text/languages.js";
import { DEFAULT_MODELS } from "../translation/find-model.js";
import { Translator, type TranslatorOptions } from "../translation/translator.js";
import { parseReference } from "../weights/hub/reference.js";
import { HttpError } from "./http-error.js";
import type { Log } from "./log.js";

/** Body of a request for English of texts, as for glosses beside captions. */
export const translationRequestSchema = z.strictObject({
  lang: z.string().max(20).meta({ description: 'The language of the texts, such as "de" or "de_DE".' }),
  texts: z.array(z.string().min(1).max(1000)).min(1).max(64),
});

export type TranslationRequest = z.infer<typeof translationRequestSchema>;

export interface TranslatedText {
  readonly text: string;
  /** The model that translated it. */
  readonly model: string;
}

/** Translators that are kept, each with a model of its own. */
const MOST_KEPT = 4;
/** Requests that wait or are worked on; those above get 429. */
const MOST_WAITING = 64;
/** Translations that a translator remembers. */
const REMEMBERED = 1000;

/** @throws {HttpError} `unsupported-media-type`, `bad-request` */
export function readTranslationRequest(contentType: string | undefined, body: Buffer): TranslationRequest {
  if (!/^application\/json\s*(?:;|$)/i.test(contentType ?? ""))
    throw new HttpError("unsupported-media-type", "Expected a body of type application/json.");
  try {
    return translationRequestSchema.parse(JSON.parse(body.toString("utf8")));
  } catch {
    throw new HttpError(
      "bad-request",
      'Expected {"lang": "de", "texts": ["…"]}, with 1 to 64 texts of 1 to 1000 characters.',
    );
  }
}

/**
 * Refuses what can hold no models, so that a server does not start with a wrong name; of the hub, only the name is read.
 * @param where as of `findModel`
 * @throws {LingolensError} `file-not-found`
 */
export async function checkModels(where: string): Promise<void> {
  const named = where.replaceAll("{from}", "de").replaceAll("{to}", "en");
  const inside = await readdir(where).catch(() => undefined);
  const isThere = inside
    ? inside.some((name) => name === "config.json" || /^opus-mt-.+-en$/.test(name))
    : where !== named || parseReference(named) !== undefined;
  if (isThere) return;
  throw new LingolensError(
    "file-not-found",
    `--gloss ${where}: expected a folder with Marian models into English, such as opus-mt-de-en, or a name of the ` +
      `Hugging Face hub, such as ${DEFAULT_MODELS}; ${inside ? "the folder has none" : "there is no such folder"}.`,
  );
}

/** From captions in other languages to English, by Marian models that are loaded when they are first asked for. */
export class Translations {
  /** By ISO code; the one used last is the last. */
  readonly #translators = new Map<string, Translator>();
  readonly #turns = new Turns(1);
  #waiting = 0;

  constructor(
    private readonly options: Omit<TranslatorOptions, "from" | "remembered">,
    private readonly log: Log,
  ) {}

  /**
   * The texts in English, in their order.
   * @throws {HttpError} `overloaded`, `bad-request` for English, `translation-unavailable` where there is no model for
   * the language; {LingolensError} `unknown-language`; the signal's reason
   */
  async translate({ lang, texts }: TranslationRequest, signal: AbortSignal): Promise<TranslatedText[]> {
    const { iso, name } = resolveLanguage(lang);
    if (iso === "en")
      throw new HttpError("bad-request", "Texts in English need no translation into English.");
    if (this.#waiting >= MOST_WAITING)
      throw new HttpError("overloaded", "Many translations are waiting already; try again in a moment.", {
        "retry-after": "2",
      });
    this.#waiting++;
    try {
      return await this.#turns.take(async () => {
        signal.throwIfAborted();
        const translator = await this.#translator(iso);
        await this.#load(translator, name, signal);
        const { en } = await translator.translate(texts, { to: ["en"], signal });
        return en!.map(({ text, model }) => ({ text, model }));
      });
    } catch (error) {
      signal.throwIfAborted();
      throw error;
    } finally {
      this.#waiting--;
    }
  }

  /** A model that is not to be had is the configuration's fault; its log says more than clients need to know. */
  async #load(translator: Translator, language: string, signal: AbortSignal): Promise<void> {
    try {
      await translator.model("en", signal);
    } catch (error) {
      if (signal.aborted || !(error instanceof LingolensError)) throw error;
      const { code, message } = error;
      this.log("translation-unavailable", { language, code, message });
      throw new HttpError(
        "translation-unavailable",
        `This server has no model that translates ${language} into English.`,
      );
    }
  }

  async #translator(iso: string): Promise<Translator> {
    const known = this.#translators.get(iso);
    this.#translators.delete(iso);
    const translator =
      known ?? (await Translator.create({ ...this.options, from: iso, remembered: REMEMBERED }));
    this.#translators.set(iso, translator);
    const [oldest] = this.#translators;
    if (oldest && this.#translators.size > MOST_KEPT) {
      this.#translators.delete(oldest[0]);
      await oldest[1].close();
    }
    return translator;
  }

  /** To be called when nothing is asked for any more. */
  async close(): Promise<void> {
    for (const translator of this.#translators.values()) await translator.close();
    this.#translators.clear();
  }
}
