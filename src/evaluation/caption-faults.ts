/** What is wrong with captions that can be seen without references: faults that readers complain about. */
import { captionTokens, UNSPACED_LANGUAGES } from "./caption-tokens.js";
import { countNgrams } from "./ngrams.js";

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
  const share = (count: number) => count / captions.length;
  // Where tokens are letters, words such as "人人" repeat one as they should.
  const shortest = UNSPACED_LANGUAGES.has(lang) ? 2 : 1;
  return {
    emptyRate: share(tokens.filter((words) => words.length === 0).length),
    repetitionRate: share(tokens.filter((words) => repeats(words, shortest)).length),
    personRate: share(captions.filter((caption) => /<person>/i.test(caption)).length),
    distinct1: distinct(tokens, 1),
    distinct2: distinct(tokens, 2),
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

/** 0 where there are none. */
function distinct(captions: readonly (readonly string[])[], order: number): number {
  const seen = new Set<string>();
  let total = 0;
  for (const words of captions) {
    for (const [ngram, count] of countNgrams(words, order, order)) {
      seen.add(ngram);
      total += count;
    }
  }
  return total === 0 ? 0 : seen.size / total;
}
