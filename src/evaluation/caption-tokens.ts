/** Words of captions for COCO's metrics: lower case, without punctuation. */
import { ptbTokens } from "./ptb-tokenizer.js";

/** Languages written without spaces: every letter is a token. */
export const UNSPACED_LANGUAGES: ReadonlySet<string> = new Set(["zh", "ja", "th", "my", "km"]);

const LETTER = "[\\p{L}\\p{N}\\p{M}\\u200c\\u200d]";
const WORDS = new RegExp(`<\\p{L}+>|\\p{N}+(?:[.,:]\\p{N}+)+|${LETTER}+(?:['’·-]${LETTER}+)*['’]?`, "gu");
const LETTERS = /<\p{L}+>|[\p{Script=Latin}\p{N}]+|\p{L}\p{M}*/gu;

/** Articles and pronouns that lose a vowel before another: a word of their own, with the apostrophe. */
const ELIDED: Readonly<Record<string, RegExp>> = {
  fr: /^((?:[cdjlmnst]|qu|jusqu|lorsqu|puisqu|quoiqu)')(.+)$/u,
  it: /^(\p{L}+')(.+)$/u,
};

/**
 * English as COCO's evaluation has it, other languages by Unicode's letters after NFKC.
 * @param lang ISO code
 */
export function captionTokens(text: string, lang: string): string[] {
  if (lang === "en") return ptbTokens(text);
  const normal = text.normalize("NFKC").toLocaleLowerCase(lang);
  if (UNSPACED_LANGUAGES.has(lang)) return normal.match(LETTERS) ?? [];
  const elided = ELIDED[lang];
  return (normal.match(WORDS) ?? []).flatMap((match) => {
    const word = match.replaceAll("’", "'");
    const parts = elided?.exec(word);
    return parts ? [parts[1]!, parts[2]!] : word.replace(/'$/, "");
  });
}
