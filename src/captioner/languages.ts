import { LingolensError } from "../errors.js";
import { languages as allLanguages, resolveLanguage } from "../text/languages.js";
import type { Mbart50Tokenizer } from "../text/mbart50-tokenizer.js";
import type { RawJson } from "../weights/model-folder.js";

/** Field of generation_config.json in which training records the languages that a model was trained for. */
export const LANGUAGES_FIELD = "caption_languages";

/** The languages of the original's training data. */
const ORIGINAL_LANGUAGES = ["en_XX", "de_DE", "fr_XX", "es_XX"];

/** mBART codes of the languages of a model. */
export interface ModelLanguages {
  /** Those that may be asked for: what its generation_config.json records, else all that its tokenizer has. */
  readonly known: readonly string[];
  /** What "all" stands for: what is recorded, else the original's four. */
  readonly trained: readonly string[];
}

export function modelLanguages(tokenizer: Mbart50Tokenizer, generationConfig: RawJson = {}): ModelLanguages {
  const codes = tokenizer.languages.map(({ code }) => code);
  const recorded = generationConfig[LANGUAGES_FIELD];
  if (recorded === undefined) {
    const trained = ORIGINAL_LANGUAGES.filter((code) => codes.includes(code));
    return { known: codes, trained: trained.length > 0 ? trained : codes };
  }
  const known = Array.isArray(recorded) ? recorded.filter((code) => codes.includes(code)) : [];
  if (known.length > 0) return { known, trained: known };
  throw new LingolensError(
    "config-invalid",
    `generation_config.json, ${LANGUAGES_FIELD}: expected codes of the tokenizer's languages; got ${JSON.stringify(recorded)}.`,
  );
}

/** Codes of the languages asked for, each once. */
export function resolveLanguages(asked: readonly string[], { known, trained }: ModelLanguages): string[] {
  const choice = allLanguages.filter(({ code }) => known.includes(code));
  return [
    ...new Set(asked.flatMap((text) => (text === "all" ? trained : [resolveLanguage(text, choice).code]))),
  ];
}
