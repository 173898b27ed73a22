/**
 * What is wrong with a translation that can be seen without a reference. Limits were set on Multi30k's human
 * translations into German and French, of which less than one in a hundred is rejected.
 */
import { captionTokens } from "../evaluation/caption-tokens.js";
import { type IdentifyLanguage, identifies } from "../evaluation/language-fidelity.js";
import { countPersons } from "../text/person-mask.js";
import { lostNumbers } from "./numbers.js";

export const FAULTS = [
  "empty",
  "lost-placeholder",
  "untranslated",
  "wrong-language",
  "repetition",
  "length",
  "lost-number",
  "low-score",
] as const;

export type Fault = (typeof FAULTS)[number];

export interface JudgedTranslation {
  readonly source: string;
  readonly translation: string;
  /** ISO codes. */
  readonly from: string;
  readonly to: string;
  /** The model's own: mean log-probability of a token. Default: unknown. */
  readonly score?: number;
}

/**
 * The faults of a translation, in the order of `FAULTS`; none in a good one.
 * @param identify whose answer counts where it knows the language; see evaluation/language-fidelity.ts
 */
export function faultsOf(translated: JudgedTranslation, identify: IdentifyLanguage): Fault[] {
  const { translation } = translated;
  if (!/\p{L}|\p{N}/u.test(translation)) return ["empty"];
  const isFound: Record<Exclude<Fault, "empty">, (one: JudgedTranslation) => boolean> = {
    "lost-placeholder": ({ source }) => countPersons(source) !== countPersons(translation),
    untranslated: isUntranslated,
    "wrong-language": ({ to }) => isInAnother(translation, to, identify),
    repetition: repeatsItself,
    length: hasOddLength,
    "lost-number": ({ source, to }) => lostNumbers(source, translation, to).length > 0,
    "low-score": ({ score }) => score !== undefined && score < LEAST_SCORE,
  };
  return FAULTS.filter((fault) => fault !== "empty" && isFound[fault](translated));
}

/** Below it, a token is on the average less likely than one in five. */
const LEAST_SCORE = -1.6;

/** Of the words of a translation, the share from which on they are the source's; names alone stay below. */
const MOST_COPIED = 0.6;
/** A text of fewer words may be all names. */
const FEWEST_WORDS = 3;

function isUntranslated({ source, translation, from, to }: JudgedTranslation): boolean {
  if (from === to) return false;
  const own = new Set(captionTokens(source, from));
  const words = captionTokens(translation, to).filter((word) => /\p{L}/u.test(word) && !word.startsWith("<"));
  if (words.length < FEWEST_WORDS) return false;
  return words.filter((word) => own.has(word)).length >= MOST_COPIED * words.length;
}

function isInAnother(translation: string, to: string, identify: IdentifyLanguage): boolean {
  const words = captionTokens(translation, to).filter((word) => /\p{L}{2}|\p{Lo}/u.test(word));
  return identifies(to) && words.length >= FEWEST_WORDS && identify(translation) !== to;
}

/** Words of the longest phrase whose repetitions are looked for. */
const LONGEST_PHRASE = 12;

/**
 * A phrase that follows itself more often than any does in the source: of one word from the third time on, since
 * "die, die" is good German, of more words from the second.
 */
function repeatsItself({ source, translation, from, to }: JudgedTranslation): boolean {
  const words = captionTokens(translation, to);
  const given = captionTokens(source, from);
  for (let length = 1; length <= LONGEST_PHRASE && 2 * length <= words.length; length++) {
    const times = mostRepeats(words, length);
    if (times >= (length === 1 ? 3 : 2) && times > mostRepeats(given, length)) return true;
  }
  return false;
}

/** How often a phrase of so many words stands in a row at most. */
function mostRepeats(words: readonly string[], length: number): number {
  let [run, most] = [0, 0];
  for (let i = length; i < words.length; i++) {
    run = words[i] === words[i - length] ? run + 1 : 0;
    most = Math.max(most, run);
  }
  return 1 + Math.floor(most / length);
}

/**
 * Gale and Church 1993, "A Program for Aligning Sentences in Bilingual Corpora": the difference of two translations'
 * lengths in characters has a variance that is proportional to the length. 6.8 is their factor.
 */
const VARIANCE = 6.8;
const SHORTEST = -1.3;
const LONGEST = 2;

/** Letters of a language for one of English: de, fr and es from Multi30k, the others roughly. */
const LENGTHS: Readonly<Record<string, number>> = {
  de: 1.1,
  fr: 1.1,
  es: 1.1,
  it: 1.1,
  pt: 1.05,
  nl: 1.05,
  ru: 1.05,
  zh: 0.33,
  ja: 0.45,
  ko: 0.5,
  th: 0.9,
  he: 0.8,
  ar: 0.85,
};

function hasOddLength({ source, translation, from, to }: JudgedTranslation): boolean {
  const length = (code: string): number => LENGTHS[code] ?? 1;
  const expected = (countLetters(source) * length(to)) / length(from);
  const deviation = (countLetters(translation) - expected) / Math.sqrt(VARIANCE * Math.max(expected, 1));
  return deviation < SHORTEST || deviation > LONGEST;
}

const countLetters = (text: string): number => [...text].length;
