import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { matchesOf, NgramCounts, NgramIndex } from "./ngrams.js";

/** The n-grams themselves, in the order of their numbers. */
function spelled(tokens: readonly string[], orders: number): string[] {
  return Array.from({ length: orders }, (_, i) =>
    tokens.slice(i).map((_token, start) => tokens.slice(start, start + i + 1).join(" ")),
  ).flat();
}

describe("NgramIndex", () => {
  it("gives equal n-grams one number and others another, from 0 on", () => {
    const token = fc.constantFrom("a", "b", "c", "constructor", "__proto__");
    const texts = fc.array(fc.array(token, { maxLength: 12 }), { maxLength: 8 });
    fc.assert(
      fc.property(texts, fc.integer({ min: 1, max: 6 }), (given, orders) => {
        const index = new NgramIndex(orders);
        const names = new Map<number, string>();
        for (const [i, { numbers, from, end, counts }] of index.numbersOfAll(given).entries()) {
          const ngrams = spelled(given[i]!, orders);
          expect(counts).toEqual(Array.from({ length: orders }, (_, n) => Math.max(0, given[i]!.length - n)));
          expect(end - from).toBe(ngrams.length);
          for (const [j, ngram] of ngrams.entries()) {
            const number = numbers[from + j]!;
            expect(names.get(number) ?? ngram).toBe(ngram);
            names.set(number, ngram);
          }
        }
        expect(new Set(names.values()).size).toBe(index.size);
        for (const number of names.keys()) expect(number).toBeLessThan(index.size);
      }),
    );
  });

  it("keeps numbers when its table grows", () => {
    const index = new NgramIndex(3);
    const tokens = Array.from({ length: 30_000 }, (_, i) => String(i % 20_000));
    const before = index.numbersOf(tokens).numbers;
    expect(index.size).toBe(20_000 * 3);
    expect(index.numbersOf(tokens).numbers).toEqual(before);
  });
});

describe("matchesOf", () => {
  it("counts each n-gram as often as it is there at most, and leaves nothing behind", () => {
    const index = new NgramIndex(2);
    const [there, own] = [new NgramCounts(index), new NgramCounts(index)];
    const reference = index.numbersOf(["a", "b", "a"]);
    const text = index.numbersOf(["a", "a", "a", "b"]);
    there.addAll(reference);
    expect(matchesOf(text, there, own)).toEqual([3, 1]);
    expect(matchesOf(text, there, own)).toEqual([3, 1]);
    there.clear(reference);
    expect(matchesOf(text, there, own)).toEqual([0, 0]);
  });
});
