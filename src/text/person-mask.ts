/**
 * `<PERSON>`, the mask of names in Conceptual 12M, which models trained on it repeat: what becomes of it in captions, as
 * one option for data, training and decoding.
 */
import { LingolensError } from "../errors.js";
import { personWords } from "./person-words.js";

export const PERSON = "<PERSON>";

/**
 * `keep` leaves it; `word` says "a person" in the caption's language, as far as a table can in a form that agrees with
 * the words around; `drop` leaves it out, with the word that joined it to the caption.
 */
export const PERSON_POLICIES = ["keep", "word", "drop"] as const;
export type PersonPolicy = (typeof PERSON_POLICIES)[number];

const MASK = /<PERSON>/gi;
/** Given name and surname are two masks of one person. */
const ONE = "<PERSON>(?:\\s*<PERSON>)*";

export function countPersons(text: string): number {
  return text.match(MASK)?.length ?? 0;
}

/** The persons of a text, each with all of its masks, where they stand. */
export function personsIn(text: string): { readonly text: string; readonly start: number }[] {
  return [...text.matchAll(new RegExp(ONE, "gi"))].map((match) => ({ text: match[0], start: match.index }));
}

/**
 * The caption after the policy; empty where nothing but masks was in it.
 * @param lang ISO code
 * @throws {LingolensError} `option-unsupported` for policies other than `keep` and a language without a table
 */
export function withPersonPolicy(text: string, lang: string, policy: PersonPolicy): string {
  if (policy === "keep") return text;
  const words = personWords[lang];
  if (!words)
    throw new LingolensError(
      "option-unsupported",
      `The person policy "${policy}" knows the languages ${Object.keys(personWords).join(", ")}; got "${lang}". Use ` +
        '"keep" for captions in other languages.',
    );
  if (countPersons(text) === 0) return text;
  const list = `${ONE}(?:(?:\\s*,\\s*(?:(?:${words.and})\\s+)?|\\s+(?:${words.and}|&)\\s+)${ONE})*`;
  // The word before, the persons, and the ending of a genitive.
  const place = new RegExp(`(?:(\\p{L}+)(['’\\s]\\s*))?(${list})(['’]s|s)?(?!\\p{L})`, "giu");
  const replaced = text.replace(place, (_, before = "", space = "", persons: string, genitive = "") => {
    const count = personsIn(persons).length;
    if (policy === "drop") {
      const joins = words.joins.includes(before.toLowerCase());
      return joins ? "" : before + (space === "'" || space === "’" ? "" : space);
    }
    return said(words, { before, space, count, genitive });
  });
  return policy === "drop" ? tidied(replaced) : startingLarge(replaced, text);
}

type Words = (typeof personWords)[string];

interface Place {
  readonly before: string;
  readonly space: string;
  readonly count: number;
  readonly genitive: string;
}

function said(words: Words, { before, space, count, genitive }: Place): string {
  const ending = genitive && words.genitive;
  if (count > 1) return `${before}${space}${count === 2 ? words.two : words.many}${ending}`;
  const joined = words.after[before.toLowerCase()];
  if (joined === undefined)
    return `${before}${space}${genitive && words.genitiveOne ? words.genitiveOne : words.one}${ending}`;
  const large = before !== "" && before[0] !== before[0]!.toLowerCase();
  return (large ? upperFirst(joined) : joined) + ending;
}

/** A name began large; so does what stands for it at the beginning of a sentence. */
function startingLarge(replaced: string, text: string): string {
  return /^\s*<PERSON>/i.test(text) ? upperFirst(replaced.trimStart()) : replaced;
}

function upperFirst(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** Without the spaces and commas that stood around what is gone. */
function tidied(text: string): string {
  const tidy = text
    .replace(/\s+/g, " ")
    .replace(/\s+([,.;:!?])/g, "$1")
    .replace(/([,;:])(?:\s*[,;:])+/g, "$1")
    .replace(/^[\s,;:]+|[\s,;:]+$/g, "");
  return /[\p{L}\p{N}]/u.test(tidy) ? tidy : "";
}
