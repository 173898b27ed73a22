import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { scoreCaptions } from "./caption-scores.js";

const shared = process.env.LINGOLENS_SHARED;

describe("scoreCaptions", () => {
  it("counts captions that equal any of their references, and scores their word tokens", () => {
    const scores = scoreCaptions(
      ["a red cube.", "two dogs run", "A tree"],
      [["one cube", "a red cube."], ["two dogs run fast"], ["a tree"]],
    );
    expect(scores.captions).toBe(3);
    expect(scores.exactMatch).toBeCloseTo(1 / 3, 12);
    // 8 of 9 tokens match ("A" does not); the shortest references hold 2 + 4 + 2 tokens, so there is no penalty.
    expect(scores.bleu[0]).toBeCloseTo(8 / 9, 12);
    // 3 + 2 of 3 + 2 + 1 pairs.
    expect(scores.bleu[1]).toBeCloseTo(Math.sqrt((8 / 9) * (5 / 6)), 12);
  });

  it.each([
    [[], []],
    [["a"], []],
    [
      ["a", "b"],
      [["a"], []],
    ],
  ])("refuses captions without references (%#)", (hypotheses, references) => {
    expect(() => scoreCaptions(hypotheses, references)).toThrow(
      expect.objectContaining({ code: "dataset-invalid" }),
    );
  });
});

describe.skipIf(!shared)("the original's definition on real captions", () => {
  it.each(["en", "es", "de", "fr"])("gives the same BLEU from text in %s", (lang) => {
    const read = (name: string) => JSON.parse(readFileSync(join(shared!, "goldens/bleu", name), "utf8"));
    const pairs = (read("pairs.json").pairs as { lang: string; hyp: string; ref: string }[]).filter(
      (pair) => pair.lang === lang,
    );
    const { bleu } = scoreCaptions(
      pairs.map((pair) => pair.hyp),
      pairs.map((pair) => [pair.ref]),
    );
    const expected = read("expected.json")[lang] as Record<string, { bleu: number }>;
    for (const [i, score] of bleu.entries()) {
      expect(Math.abs(score - expected[`BLEU-${i + 1}`]!.bleu)).toBeLessThan(1e-9);
    }
  });
});
