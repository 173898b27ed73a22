import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { scoreCaptions } from "./caption-scores.js";

const shared = process.env.LINGOLENS_SHARED;

describe("scoreCaptions", () => {
  it("counts captions that equal any of their references, and scores their word tokens", async () => {
    const scores = await scoreCaptions(
      ["a red cube.", "two dogs run", "A tree"],
      [["one cube", "a red cube."], ["two dogs run fast"], ["a tree"]],
      { lang: "en" },
    );
    expect(scores.captions).toBe(3);
    expect(scores.exactMatch).toBeCloseTo(1 / 3, 12);
    // 8 of 9 tokens match ("A" does not); the shortest references hold 2 + 4 + 2 tokens, so there is no penalty.
    expect(scores.bleu[0]).toBeCloseTo(8 / 9, 12);
    // 3 + 2 of 3 + 2 + 1 pairs.
    expect(scores.bleu[1]).toBeCloseTo(Math.sqrt((8 / 9) * (5 / 6)), 12);
  });

  it("gives every score of a perfect corpus, and of one of empty captions", async () => {
    const captions = ["ein rotes Quadrat neben einem Stern", "zwei Hunde laufen über eine Wiese"];
    const references = captions.map((caption) => [caption]);
    expect(await scoreCaptions(captions, references, { lang: "de" })).toEqual({
      captions: 2,
      exactMatch: 1,
      bleu: new Array(4).fill(expect.closeTo(1, 12)),
      bleuChunks: new Array(4).fill(expect.closeTo(1, 12)),
      cocoBleu: new Array(4).fill(expect.closeTo(1, 12)),
      sacreBleu: {
        score: expect.closeTo(100, 9),
        signature: "nrefs:1|bs:1000|seed:12345|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0",
        mean: expect.closeTo(100, 9),
        interval: [expect.closeTo(100, 9), expect.closeTo(100, 9)],
      },
      chrf: expect.closeTo(100, 9),
      chrfPlusPlus: expect.closeTo(100, 9),
      cider: expect.closeTo(10, 9),
      ciderPlain: expect.closeTo(10, 9),
      rougeL: 1,
      // METEOR sums before it scores: two captions are two chunks.
      meteor: expect.closeTo(1 - 0.55 * (2 / 12), 12),
      languageFidelity: 1,
      emptyRate: 0,
      repetitionRate: 0,
      personRate: 0,
      distinct1: 1,
      distinct2: 1,
      meanLength: 6,
    });
    expect(await scoreCaptions(["", ""], references, { lang: "de" })).toMatchObject({
      bleu: [0, 0, 0, 0],
      sacreBleu: { score: 0, mean: 0, interval: [0, 0] },
      ...{ chrf: 0, chrfPlusPlus: 0, cider: 0, ciderPlain: 0, rougeL: 0, meteor: 0, meanLength: 0 },
      ...{ languageFidelity: 0, emptyRate: 1 },
    });
  });

  it("counts letters where words have no spaces between", async () => {
    const { sacreBleu, cocoBleu } = await scoreCaptions(["两只狗在跑"], [["两只狗在跑。"]], { lang: "zh" });
    expect(sacreBleu.signature).toContain("tok:char");
    expect(cocoBleu[3]).toBeCloseTo(1, 12);
  });

  it.each([
    [[], []],
    [["a"], []],
    [
      ["a", "b"],
      [["a"], []],
    ],
  ])("refuses captions without references (%#)", async (hypotheses, references) => {
    await expect(scoreCaptions(hypotheses, references, { lang: "en" })).rejects.toThrow(
      expect.objectContaining({ code: "dataset-invalid" }),
    );
  });
});

describe.skipIf(!shared)("the original's definition on real captions", () => {
  it.each(["en", "es", "de", "fr"])("gives the same BLEU from text in %s", async (lang) => {
    const read = (name: string) => JSON.parse(readFileSync(join(shared!, "goldens/bleu", name), "utf8"));
    const pairs = (read("pairs.json").pairs as { lang: string; hyp: string; ref: string }[]).filter(
      (pair) => pair.lang === lang,
    );
    const { bleu } = await scoreCaptions(
      pairs.map((pair) => pair.hyp),
      pairs.map((pair) => [pair.ref]),
      { lang },
    );
    const expected = read("expected.json")[lang] as Record<string, { bleu: number }>;
    for (const [i, score] of bleu.entries()) {
      expect(Math.abs(score - expected[`BLEU-${i + 1}`]!.bleu)).toBeLessThan(1e-9);
    }
  });
});
