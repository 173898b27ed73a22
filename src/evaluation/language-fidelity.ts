/**
 * Which language a caption is in. The identifier is ELD (https://github.com/nitotm/efficient-language-detector-js),
 * n-grams of bytes in tables of 1.6 MB; it knows 39 of mBART-50's 52 languages and chooses among those.
 */
import { languages } from "../text/languages.js";

/** The ISO code of a text's language; empty where it cannot be told, such as for a text without letters. */
export type IdentifyLanguage = (text: string) => string;

/** Without tables: captions in these languages are taken for a related one. */
const UNKNOWN: ReadonlySet<string> = new Set("af gl id kk km mk mn my ne ps si sw xh".split(" "));

export async function loadLanguageIdentifier(): Promise<IdentifyLanguage> {
  const { eld } = await import("eld/small");
  const identifier = eld.newInstance();
  identifier.setLanguageSubset(languages.map(({ iso }) => iso).filter((iso) => !UNKNOWN.has(iso)));
  return (text) => identifier.detect(text.replaceAll("<PERSON>", " ")).language;
}

/** Whether the identifier knows a language, by its ISO code. */
export function identifies(lang: string): boolean {
  return languages.some(({ iso }) => iso === lang) && !UNKNOWN.has(lang);
}

/**
 * Share of captions that are in a language; a caption without a word is in none. Nothing where the identifier does not
 * know the language.
 * @param lang ISO code
 */
export function languageFidelity(
  captions: readonly string[],
  lang: string,
  identify: IdentifyLanguage,
): number | null {
  if (UNKNOWN.has(lang)) return null;
  return captions.filter((caption) => identify(caption) === lang).length / captions.length;
}
