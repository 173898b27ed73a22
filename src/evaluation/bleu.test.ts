import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CHUNK_SEGMENTS, corpusBleu, meanChunkBleu } from "./bleu.js";

const shared = process.env.LINGOLENS_SHARED;

function segment(hypothesis: string, ...references: string[]) {
  const tokens = (text: string) => text.split(" ").filter((token) => token !== "");
  return { hypothesis: tokens(hypothesis), references: references.map(tokens) };
}

describe("corpusBleu", () => {
  it("clips matches at the reference's count (the paper's example)", () => {
    const result = corpusBleu([segment("the the the the the the the", "the cat is on the mat")]);
    expect(result.precisions).toEqual([2 / 7, 0, 0, 0]);
    expect(result.bleu).toEqual([2 / 7, 0, 0, 0]);
  });

  it("takes the best reference of each n-gram and the shortest's length", () => {
    const result = corpusBleu([segment("a a b", "a a c d e", "a b")]);
    expect(result).toMatchObject({ hypothesisLength: 3, referenceLength: 2, brevityPenalty: 1 });
    expect(result.precisions).toEqual([1, 1, 0, 0]);
  });

  it("takes COCO's closest length where asked, the shorter of two", () => {
    const length = (hypothesis: string, ...references: string[]) =>
      corpusBleu([segment(hypothesis, ...references)], "closest").referenceLength;
    expect(length("a b c d", "a", "a b c d e f", "a b c d e")).toBe(5);
    expect(length("a b c d", "a b c d e", "a b c")).toBe(3);
  });

  it("punishes short hypotheses", () => {
    const result = corpusBleu([segment("a b c", "a b c d e f")]);
    expect(result.brevityPenalty).toBeCloseTo(Math.exp(1 - 6 / 3), 12);
    expect(result.bleu[2]).toBeCloseTo(Math.exp(-1), 12);
    expect(result.bleu[3]).toBe(0);
  });

  it("sums counts over the corpus before dividing", () => {
    const result = corpusBleu([segment("a b", "a b"), segment("x y", "x z")]);
    expect(result.precisions.slice(0, 2)).toEqual([3 / 4, 1 / 2]);
    expect(result.bleu[1]).toBeCloseTo(Math.sqrt(3 / 8), 12);
  });

  it("is 0 for empty hypotheses", () => {
    expect(corpusBleu([segment("", "a b c d")]).bleu).toEqual([0, 0, 0, 0]);
    expect(corpusBleu([]).bleu).toEqual([0, 0, 0, 0]);
  });

  it("is 1 for a perfect corpus, in range for any, and does not depend on the order", () => {
    const tokens = fc.array(fc.constantFrom("a", "b", "c", "constructor"), { minLength: 4, maxLength: 9 });
    const corpus = fc.array(
      fc.record({ hypothesis: tokens, references: fc.array(tokens, { minLength: 1, maxLength: 3 }) }),
      { minLength: 1 },
    );
    fc.assert(
      fc.property(corpus, (segments) => {
        const { bleu } = corpusBleu(segments);
        for (const score of bleu) {
          expect(score).toBeGreaterThanOrEqual(0);
          expect(score).toBeLessThanOrEqual(1 + 1e-12);
        }
        expect(corpusBleu(segments.toReversed()).bleu).toEqual(bleu);
        const perfect = segments.map(({ hypothesis }) => ({ hypothesis, references: [hypothesis] }));
        for (const score of corpusBleu(perfect).bleu) expect(score).toBeCloseTo(1, 12);
      }),
    );
  });
});

describe("meanChunkBleu", () => {
  it("is the mean of chunks in order, the last as heavy as the others", () => {
    const right = segment("a b c d", "a b c d");
    const wrong = segment("x y z w", "a b c d");
    const segments = [...new Array(CHUNK_SEGMENTS).fill(right), wrong];
    expect(meanChunkBleu(segments)).toEqual([0.5, 0.5, 0.5, 0.5]);
    expect(meanChunkBleu(segments.slice(0, 3))).toEqual([1, 1, 1, 1]);
    expect(meanChunkBleu([])).toEqual([0, 0, 0, 0]);
  });
});

describe.skipIf(!shared)("compute_bleu of tensorflow/nmt", () => {
  const read = (name: string): unknown =>
    JSON.parse(readFileSync(join(shared!, "goldens/bleu", name), "utf8"));

  it.each(["en", "es", "de", "fr"])("gives the same BLEU-1 to BLEU-4 in %s", (lang) => {
    const { pairs } = read("pairs.json") as {
      pairs: { lang: string; hyp_tokens: string[]; ref_tokens: string[] }[];
    };
    const expected = (
      read("expected.json") as Record<
        string,
        Record<string, { bleu: number; precisions: number[]; brevity_penalty: number }>
      >
    )[lang]!;
    const segments = pairs
      .filter((pair) => pair.lang === lang)
      .map((pair) => ({ hypothesis: pair.hyp_tokens, references: [pair.ref_tokens] }));
    const result = corpusBleu(segments);
    expect(segments).toHaveLength(50);
    for (const [i, score] of result.bleu.entries()) {
      expect(Math.abs(score - expected[`BLEU-${i + 1}`]!.bleu)).toBeLessThan(1e-9);
    }
    expect(result.precisions).toEqual(expected["BLEU-4"]!.precisions);
    expect(result.brevityPenalty).toBeCloseTo(expected["BLEU-4"]!.brevity_penalty, 12);
  });
});
