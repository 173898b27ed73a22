import fc from "fast-check";
import { expect, test } from "vitest";
import { PieceTrie } from "./piece-trie.js";
import { Unigram } from "./unigram.js";

interface Vocabulary {
  readonly pieces: readonly string[];
  readonly scores: readonly number[];
}

const unknownScore = -20;

function unigramOf({ pieces, scores }: Vocabulary, precision: "float32" | "float64" = "float64"): Unigram {
  const trie = new PieceTrie();
  for (const [index, piece] of pieces.entries()) trie.add(piece, index + 1);
  return new Unigram({ trie, scores: Float64Array.of(0, ...scores), unknownId: 0, unknownScore, precision });
}

/** The highest score of all ways to cut the text, by trying every one. */
function bestScore({ pieces, scores }: Vocabulary, text: string): number {
  if (text === "") return 0;
  const character = String.fromCodePoint(text.codePointAt(0)!);
  const totals = pieces.flatMap((piece, index) =>
    text.startsWith(piece) ? [scores[index]! + bestScore({ pieces, scores }, text.slice(piece.length))] : [],
  );
  if (!pieces.includes(character)) {
    totals.push(unknownScore + bestScore({ pieces, scores }, text.slice(character.length)));
  }
  return Math.max(...totals);
}

const character = fc.constantFrom("a", "b", "▁", "é", "👍");
const vocabularies = fc
  .uniqueArray(fc.string({ unit: character, minLength: 1, maxLength: 3 }), { maxLength: 12 })
  .chain((pieces) =>
    fc.record({
      pieces: fc.constant(pieces),
      // Eighths, so that sums are exact and ties are frequent.
      scores: fc.array(
        fc.integer({ min: -120, max: 0 }).map((score) => score / 8),
        {
          minLength: pieces.length,
          maxLength: pieces.length,
        },
      ),
    }),
  );

test("no way to cut a text scores higher", () => {
  fc.assert(
    fc.property(
      vocabularies,
      fc.string({ unit: character, maxLength: 8 }),
      fc.constantFrom("float32" as const, "float64" as const),
      (vocabulary, text, precision) => {
        const segments = unigramOf(vocabulary, precision).segment(text);
        const score = segments.reduce((sum, { id, start, end }) => {
          const unknown = unknownScore * Array.from(text.slice(start, end)).length;
          return sum + (id === 0 ? unknown : vocabulary.scores[id - 1]!);
        }, 0);
        expect(score).toBe(bestScore(vocabulary, text));
        for (const { id, start, end } of segments) {
          if (id !== 0) expect(text.slice(start, end)).toBe(vocabulary.pieces[id - 1]);
        }
        expect(segments.map(({ start, end }) => text.slice(start, end)).join("")).toBe(text);
      },
    ),
    { numRuns: 1000 },
  );
});

test("neighbouring unknown characters make one segment", () => {
  const unigram = unigramOf({ pieces: ["a"], scores: [-1] });
  expect(unigram.segment("x👍yazz")).toEqual([
    { id: 0, start: 0, end: 4 },
    { id: 1, start: 4, end: 5 },
    { id: 0, start: 5, end: 7 },
  ]);
});

test("of equally good cuts, the one whose last piece begins first", () => {
  const unigram = unigramOf({ pieces: ["a", "aa"], scores: [-1, -3] });
  expect(unigram.segment("aaa").map(({ id }) => id)).toEqual([1, 1, 1]);
  const tied = unigramOf({ pieces: ["a", "aa"], scores: [-2, -3] });
  expect(tied.segment("aaa").map(({ id }) => id)).toEqual([1, 2]);
});

test("adds up float32 where it is asked to", () => {
  // 2^24 + 1 is no float32: both cuts tie there, and the longer last piece wins.
  const vocabulary = { pieces: ["a", "ab", "b", "x"], scores: [0, -1, 0, -(2 ** 24)] };
  const withPenalty = {
    ...vocabulary,
    pieces: ["a", "ab", "b", "x"],
    scores: [-0.5, -0.75, -0.25, -(2 ** 24)],
  };
  expect(
    unigramOf(withPenalty, "float32")
      .segment("xab")
      .map(({ id }) => id),
  ).toEqual([4, 2]);
  expect(
    unigramOf({ ...vocabulary, scores: [-1, -1, 0.5, -(2 ** 24)] }, "float64")
      .segment("xab")
      .map(({ id }) => id),
  ).toEqual([4, 1, 3]);
  expect(
    unigramOf({ ...vocabulary, scores: [-1, -1, 0.5, -(2 ** 24)] }, "float32")
      .segment("xab")
      .map(({ id }) => id),
  ).toEqual([4, 2]);
});

test("cuts long texts after short ones and short after long", () => {
  const unigram = unigramOf({ pieces: ["a"], scores: [-1] });
  for (const length of [1, 1000, 3, 5000, 0])
    expect(unigram.segment("a".repeat(length))).toHaveLength(length);
});
