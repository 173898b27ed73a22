/** What is wrong with captions that can be seen without references: faults that readers complain about. */
import { captionTokens, UNSPACED_LANGUAGES } from "./caption-tokens.js";
import { NgramCounts, NgramIndex } from "./ngrams.js";

export interface CaptionFaults {
  /** Share of captions without a word. */
  readonly emptyRate: number;
  /** Share of captions in which up to four words directly follow themselves, as in "a dog a dog". */
  readonly repetitionRate: number;
  /** Share of captions with `<PERSON>`, the mask of names in the original's training data. */
  readonly personRate: number;
  /** Different words, and pairs of neighbouring words, as shares of all: low where captions are all alike. */
  readonly distinct1: number;
  readonly distinct2: number;
  /** Words of a caption. */
  readonly meanLength: number;
}

const LONGEST_REPEATED = 4;

/**
 * Words are those of `captionTokens`.
 * @param captions at least one
 * @param lang ISO code
 */
export function captionFaults(captions: readonly string[], lang: string): CaptionFaults {
  const tokens = captions.map((caption) => captionTokens(caption, lang));
  const [distinct1, distinct2] = distinct(tokens);
  const share = (count: number) => count / captions.length;
  // Where tokens are letters, words such as "人人" repeat one as they should.
  const shortest = UNSPACED_LANGUAGES.has(lang) ? 2 : 1;
  return {
    emptyRate: share(tokens.filter((words) => words.length === 0).length),
    repetitionRate: share(tokens.filter((words) => repeats(words, shortest)).length),
    personRate: share(captions.filter((caption) => /<person>/i.test(caption)).length),
    distinct1,
    distinct2,
    meanLength: share(tokens.reduce((sum, words) => sum + words.length, 0)),
  };
}

function repeats(words: readonly string[], shortest: number): boolean {
  for (let length = shortest; length <= LONGEST_REPEATED; length++) {
    let run = 0;
    for (let i = length; i < words.length; i++) {
      run = words[i] === words[i - length] ? run + 1 : 0;
      if (run === length) return true;
    }
  }
  return false;
}

/** Different words and different pairs as shares of all; 0 where there are none. */
function distinct(captions: readonly (readonly string[])[]): [words: number, pairs: number] {
  const index = new NgramIndex(2);
  const counts = new NgramCounts(index);
  const seen = [0, 0];
  const all = [0, 0];
  for (const words of captions) {
    for (const [i, ngram] of index.numbersOf(words).numbers.entries()) {
      const order = i < words.length ? 0 : 1;
      all[order]! += 1;
      if (counts.add(ngram) === 1) seen[order]! += 1;
    }
  }
  return [seen[0]! / Math.max(1, all[0]!), seen[1]! / Math.max(1, all[1]!)];
}
