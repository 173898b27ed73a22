import { describe, expect, it } from "vitest";
import { type JudgedCaption, judgedCaptions, rankCorrelation } from "./judged-captions.js";
import { chooseSample } from "./report-sample.js";
import type { RunLine } from "./run-files.js";
import { reportOf } from "./run-report.js";

const line = (image: string, lang: string, nll: number, tokens: number, caption = "a red cube"): RunLine => ({
  image,
  lang,
  caption,
  references: ["a red cube"],
  score: -0.5,
  nll,
  tokens,
});
const failure = (image: string): RunLine => ({
  image,
  error: { code: "unreadable-image", message: `${image} is damaged.` },
});

describe("reportOf", () => {
  it("weighs every token the same in the loss, in each language and in all", async () => {
    const lines = [[line("a", "en", 1, 2), line("a", "de", 4, 10)], [line("b", "en", 3, 6)], [failure("c")]];
    const { loss, languages, failed, published } = await reportOf(lines, ["de", "en"]);
    expect(Object.keys(languages)).toEqual(["de", "en"]);
    expect(languages.en!.loss).toBeCloseTo((1 * 2 + 3 * 6) / 8, 12);
    expect(languages.en!.perplexity).toBeCloseTo(Math.exp(2.5), 9);
    expect(languages.de!.loss).toBe(4);
    expect(loss).toBeCloseTo((2 + 18 + 40) / 18, 12);
    expect(languages.en!.captions).toBe(2);
    expect(failed).toBe(1);
    expect(published).toBeUndefined();
  });

  it("has the card's values beside, for the languages that it has", async () => {
    const lines = [[line("a", "es", 1, 2), line("a", "pt", 1, 2)]];
    const { languages, published } = await reportOf(lines, ["es", "pt"], "original");
    expect(published).toEqual({ loss: 2.6 });
    expect(languages.es!.published).toEqual({ bleu: [0.15981, 0.09858, 0.06918, 0.04776] });
    expect(languages.pt!.published).toBeUndefined();
  });

  it("names the first picture where none could be read", async () => {
    await expect(reportOf([[failure("a")], [failure("b")]], ["en"])).rejects.toMatchObject({
      code: "unreadable-image",
      message: "None of 2 pictures could be read. The first: a is damaged.",
    });
  });
});

describe("captions one by one", () => {
  it("have chrF and a confidence; pictures that failed have none", () => {
    const judged = judgedCaptions([[line("a", "en", 1, 1), line("a", "de", 1, 1, "")], [failure("b")]]);
    expect(judged.map((own) => own.map(({ chrf, confidence }) => [chrf, confidence]))).toEqual([
      [
        [100, Math.exp(-0.5)],
        [0, Math.exp(-0.5)],
      ],
      [],
    ]);
  });

  it("are correlated by rank, equal values sharing theirs", () => {
    expect(rankCorrelation([1, 2, 3], [10, 100, 1000])).toBeCloseTo(1, 12);
    expect(rankCorrelation([1, 2, 3], [3, 2, 1])).toBeCloseTo(-1, 12);
    // Ranks 0, 1.5, 1.5, 3, 4 and 1, 0, 3.5, 3.5, 2.
    expect(rankCorrelation([1, 2, 2, 3, 5], [2, 1, 4, 4, 3])).toBeCloseTo(0.394737, 6);
    expect(rankCorrelation([1, 2], [7, 7])).toBeUndefined();
  });
});

describe("chooseSample", () => {
  const judged = (chrfs: readonly number[]): JudgedCaption[][] =>
    chrfs.map((chrf, i) => [
      { image: `${i}`, lang: "en", caption: "", references: ["a"], chrf, confidence: 0.5 },
    ]);

  it("has the worst, the best, and others from all over, in the data's order", () => {
    const chrfs = Array.from({ length: 1000 }, (_, i) => (i % 2 ? i : 1000 - i) / 10);
    const chosen = chooseSample(judged(chrfs), 30);
    expect(chosen).toHaveLength(30);
    expect(chosen).toEqual(chosen.toSorted((a, b) => a - b));
    const byChrf = chrfs.map((_, i) => i).sort((a, b) => chrfs[a]! - chrfs[b]!);
    for (const place of [...byChrf.slice(0, 8), ...byChrf.slice(-8)]) expect(chosen).toContain(place);
    const quarters = new Set(chosen.map((place) => Math.floor(place / 250)));
    expect(quarters.size).toBe(4);
  });

  it("has all where there are few, and leaves out those that failed", () => {
    expect(chooseSample([...judged([3, 1]), [], ...judged([2])])).toEqual([0, 1, 3]);
  });
});
