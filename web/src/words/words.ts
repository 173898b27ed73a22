import type { Caption } from "../captioning/caption.js";

/** A stretch of a caption: a word, or what stands between words. */
export interface Word {
  readonly text: string;
  readonly isWord: boolean;
  /** How much it looked at each patch, row by row: the mean over its tokens. */
  readonly attention?: readonly number[];
  /** Of its tokens together, 0 to 1. */
  readonly probability?: number;
}

/** Cuts a caption into words, by the rules of its language, and gives each what its tokens have. */
export function wordsOf(caption: Caption, language: string): Word[] {
  const { text, pieces, attention, logProbs } = caption;
  const segmenter = new Intl.Segmenter(language.slice(0, 2), { granularity: "word" });
  const segments = [...segmenter.segment(text)];
  const tokens = pieces && pieces.join("") === text ? placesOf(pieces) : [];
  return segments.map(({ segment, index, isWordLike = false }) => {
    const own = tokens.filter(({ start, end }) => start < index + segment.length && end > index);
    if (!isWordLike || own.length === 0) return { text: segment, isWord: isWordLike };
    return {
      text: segment,
      isWord: true,
      ...(attention && { attention: meanOf(own.map(({ token }) => attention[token]!.slice(1))) }),
      ...(logProbs && {
        probability: Math.exp(own.reduce((sum, { token }) => sum + logProbs[token]!, 0)),
      }),
    };
  });
}

/** Where the letters of each token stand in the text, without the space before them; tokens without letters are left out. */
function placesOf(pieces: readonly string[]): { token: number; start: number; end: number }[] {
  let at = 0;
  return pieces.flatMap((piece, token) => {
    const end = at + piece.length;
    const start = end - piece.trimStart().length;
    at = end;
    return start < end ? [{ token, start, end }] : [];
  });
}

function meanOf(rows: readonly (readonly number[])[]): number[] {
  return rows[0]!.map((_, i) => rows.reduce((sum, row) => sum + row[i]!, 0) / rows.length);
}
