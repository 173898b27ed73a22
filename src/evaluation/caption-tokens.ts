/** Words of captions for COCO's metrics: lower case, without punctuation. */
import { ptbTokens } from "./ptb-tokenizer.js";

/** Languages written without spaces: every letter is a token. */
export const UNSPACED_LANGUAGES: ReadonlySet<string> = new Set(["zh", "ja", "th", "my", "km"]);

const LETTER = "[\\p{L}\\p{N}\\p{M}\\u200c\\u200d]";
const WORDS = new RegExp(`<\\p{L}+>|\\p{N}+(?:[.,:]\\p{N}+)+|${LETTER}+(?:['’·-]${LETTER}+)*`, "gu");
const LETTERS = /<\p{L}+>|[\p{Script=Latin}\p{N}]+|\p{L}\p{M}*/gu;

/**
 * English as COCO's evaluation has it, other languages by Unicode's letters after NFKC. What an apostrophe or a hyphen
 * joins stays one word ("d'un"), as in the numbers published for COCO's captions in other languages.
 * @param lang ISO code
 */
export function captionTokens(text: string, lang: string): string[] {
  if (lang === "en") return ptbTokens(text);
  const normal = text.normalize("NFKC").toLocaleLowerCase(lang);
  if (UNSPACED_LANGUAGES.has(lang)) return normal.match(LETTERS) ?? [];
  return (normal.match(WORDS) ?? []).map((word) => word.replaceAll("’", "'"));
}
