import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Constraints, editScore, editsAfter, forcedAfter } from "./constraints.js";

const free: Constraints = {
  minLength: 0,
  maxLength: 64,
  noRepeatNgramSize: 0,
  repetitionPenalty: 1,
  bannedSequences: [],
  eosId: 2,
  prompt: [2],
};
const sequence = fc.array(fc.nat(4), { minLength: 1, maxLength: 12 });

describe("editsAfter", () => {
  it("changes nothing unless told", () => {
    fc.assert(fc.property(sequence, (tokens) => editsAfter(tokens, free).ids.length === 0));
  });

  it("bans exactly the tokens that would repeat an n-gram", () => {
    const hasRepeat = (tokens: number[], size: number): boolean => {
      const grams = tokens.slice(size - 1).map((_, i) => tokens.slice(i, i + size).join(" "));
      return new Set(grams).size < grams.length;
    };
    fc.assert(
      fc.property(sequence, fc.integer({ min: 1, max: 3 }), (tokens, noRepeatNgramSize) => {
        fc.pre(!hasRepeat(tokens, noRepeatNgramSize));
        const { banned } = editsAfter(tokens, { ...free, noRepeatNgramSize });
        for (let id = 0; id < 5; id++)
          expect(banned.has(id)).toBe(hasRepeat([...tokens, id], noRepeatNgramSize));
      }),
    );
  });

  it("keeps banned sequences from being completed, and the end from being banned", () => {
    const bannedSequences = [[4], [7, 8], [5, 6, 7], [2]];
    const bannedAfter = (...tokens: number[]) =>
      [...editsAfter(tokens, { ...free, bannedSequences }).banned].sort();
    expect(bannedAfter(2)).toEqual([4]);
    expect(bannedAfter(2, 7)).toEqual([4, 8]);
    expect(bannedAfter(5, 6)).toEqual([4, 7]);
    expect(bannedAfter(6, 5)).toEqual([4]);
  });

  it("holds the end back until the least length", () => {
    expect(editsAfter([2, 9], { ...free, minLength: 3 }).banned.has(2)).toBe(true);
    expect(editsAfter([2, 9, 9], { ...free, minLength: 3 }).banned.has(2)).toBe(false);
  });

  it("penalises what has occurred, each id once", () => {
    const edits = editsAfter([2, 9, 9], { ...free, repetitionPenalty: 2 });
    expect(edits.ids).toEqual([2, 9]);
    expect(editScore(-1, 9, edits)).toBe(-2);
    expect(editScore(3, 9, edits)).toBe(1.5);
  });
});

describe("forcedAfter", () => {
  it("forces the language after the prompt and the end at the last place", () => {
    const forcing = { ...free, maxLength: 4, forcedFirst: 9, forcedEosId: 2 };
    expect([[2], [2, 9], [2, 9, 5]].map((tokens) => forcedAfter(tokens, forcing))).toEqual([9, undefined, 2]);
    expect(forcedAfter([2], { ...forcing, maxLength: 2 })).toBe(2);
  });
});
