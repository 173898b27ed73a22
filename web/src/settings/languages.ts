import { languages } from "../../../src/text/languages.js";

/** mBART codes that come first. */
const FIRST = ["en_XX", "de_DE", "fr_XX", "es_XX"];

/** mBART codes of all 52, the order in which captions are shown. */
export const CODES: readonly string[] = [
  ...FIRST,
  ...languages.map(({ code }) => code).filter((code) => !FIRST.includes(code)),
];

/** The name of a language as the reader's language has it. */
export function languageName(code: string, inLanguage: string): string {
  const iso = code.slice(0, 2);
  return new Intl.DisplayNames([inLanguage], { type: "language" }).of(iso) ?? iso;
}

/** All 52 as a reader finds them: the first four, then by their names. */
export function sortedCodes(inLanguage: string): readonly string[] {
  const { compare } = new Intl.Collator(inLanguage);
  const names = new Map(CODES.map((code) => [code, languageName(code, inLanguage)]));
  return [...FIRST, ...CODES.slice(FIRST.length).sort((a, b) => compare(names.get(a)!, names.get(b)!))];
}

/** Whether a language is meant by what was typed: a part of its name here, in itself or in English, or its code. */
export function matches(code: string, typed: string, inLanguage: string): boolean {
  const wanted = plain(typed);
  const iso = code.slice(0, 2);
  const names = [inLanguage, iso, "en"].map((language) => plain(languageName(code, language)));
  return names.some((name) => name.includes(wanted)) || iso === wanted || code.toLowerCase() === wanted;
}

/** Without case and accents. */
function plain(text: string): string {
  return text.trim().toLowerCase().normalize("NFD").replaceAll(/\p{M}/gu, "");
}
