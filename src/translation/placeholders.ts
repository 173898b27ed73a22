/**
 * Masked names while a text is translated. A model takes `<PERSON>` apart, and what becomes of the pieces is anybody's
 * guess; a name it knows it leaves as it is, and treats as a person in the sentence.
 */
import { personsIn } from "../text/person-mask.js";

export interface ProtectedText {
  readonly text: string;
  /** The translation with the masks back in it, or undefined where one of the names is not there just once. */
  restore(translation: string): string | undefined;
}

/** Names that translations leave as they are; where the first do not do, others are tried. */
const NAMES = [
  "Tom Ben Max Leo Tim Sam Kim Bob Roy Ian",
  "Martin Oliver Robert Daniel Thomas Simon Albert Victor Oscar Hugo",
].map((names) => names.split(" "));

/** How often a text may be tried. */
export const ATTEMPTS = NAMES.length;

/** @param attempt from 0 */
export function protectPersons(text: string, attempt: number): ProtectedText {
  const persons = personsIn(text);
  const isFree = (name: string): boolean => !namePattern(name).test(text);
  const names = NAMES[attempt]!.filter(isFree);
  // More persons than names: what is left keeps its masks, and the quality gate looks whether they came through.
  const places = persons.slice(0, names.length).map((person, i) => ({ ...person, name: names[i]! }));
  const protectedText = places.reduceRight(
    (rest, { name, start, text: mask }) => rest.slice(0, start) + name + rest.slice(start + mask.length),
    text,
  );
  return {
    text: protectedText,
    restore(translation) {
      let restored = translation;
      for (const { name, text: mask } of places) {
        if (restored.match(namePattern(name))?.length !== 1) return undefined;
        restored = restored.replace(namePattern(name), mask);
      }
      return restored;
    },
  };
}

/** The name as a word, with the ending of a genitive if any. */
function namePattern(name: string): RegExp {
  return new RegExp(`(?<!\\p{L})${name}(?=(?:['’]?s)?(?!\\p{L}))`, "gu");
}
