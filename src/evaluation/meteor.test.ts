import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { sumOf } from "./bootstrap.js";
import { captionTokens } from "./caption-tokens.js";
import { loadMeteorLanguage, meteorOf, meteorStatistics } from "./meteor.js";

const shared = process.env.LINGOLENS_SHARED;

async function meteor(lang: string, hypothesis: string, ...references: string[]): Promise<number> {
  const language = await loadMeteorLanguage(lang);
  const words = (text: string) => captionTokens(text, lang);
  return meteorOf(meteorStatistics(words(hypothesis), references.map(words), language), language);
}

describe("METEOR", () => {
  it("is METEOR 1.5's where words are the same", async () => {
    // Published by Maluuba/nlg-eval (MIT) with the Java program.
    const score = await meteor("en", "this is a good test", "this is a test", "this is also a test");
    expect(score).toBeCloseTo(0.44434387, 8);
  });

  it("counts words with one stem, for less", async () => {
    // Content words: dog exact 1, runs 0.6; precision 1.6 × 0.75 + 0.25 of 2 × 0.75 + 0.25, recall the same; one chunk,
    // but not all words are the same, so the penalty is 0.6 × (1 / 3)^0.2.
    const part = (0.75 * 1.6 + 0.25) / (0.75 * 2 + 0.25);
    expect(await meteor("en", "a dog runs", "a dog running")).toBeCloseTo(part, 12);
    expect(await meteor("de", "Hunde", "Hund")).toBeCloseTo(0.8, 12);
    expect(await meteor("ja", "犬", "犬")).toBe(1);
  });

  it("prefers alignments with few chunks", async () => {
    // "a" could match either; only one choice leaves two chunks.
    const language = await loadMeteorLanguage("en");
    const row = meteorStatistics("a cat and a dog".split(" "), ["and a dog a cat".split(" ")], language);
    expect(row.at(-1)).toBe(2);
  });

  it("is 0 for what shares nothing, and for nothing", async () => {
    expect(await meteor("en", "x", "a dog")).toBe(0);
    expect(await meteor("en", "", "a dog")).toBe(0);
    expect(await meteor("en", "a dog", "")).toBe(0);
  });

  it("is 1 for equal captions, in range for any, and quick for the most repetitive", async () => {
    const language = await loadMeteorLanguage("en");
    const tokens = fc.array(fc.constantFrom("a", "dog", "dogs", "the", "runs", "running"), { minLength: 1 });
    fc.assert(
      fc.property(tokens, tokens, (hypothesis, reference) => {
        const score = meteorOf(meteorStatistics(hypothesis, [reference], language), language);
        expect(score).toBeGreaterThanOrEqual(0);
        expect(score).toBeLessThanOrEqual(1 + 1e-12);
        expect(meteorOf(meteorStatistics(reference, [reference], language), language)).toBe(1);
      }),
    );
    const long = new Array<string>(5000).fill("a");
    const start = performance.now();
    expect(meteorOf(meteorStatistics(long, [long], language), language)).toBe(1);
    expect(performance.now() - start).toBeLessThan(5000);
  });
});

describe.skipIf(!shared)("METEOR on COCO's 1,000 pictures", () => {
  it("is 0.195 with all stages, and less by the synonyms and paraphrases without them", async () => {
    const read = (name: string) =>
      JSON.parse(readFileSync(join(shared!, "fixtures/eval/coco-caption", name), "utf8"));
    const references = read("en_captions_val2014_references_after_tokenization.json");
    const results: Record<string, [string]> = read("en_captions_val2014_results_after_tokenization.json");
    const language = await loadMeteorLanguage("en");
    const rows = Object.entries(results).map(([image, [caption]]) =>
      meteorStatistics(
        caption.split(" "),
        references[image].map((text: string) => text.split(" ")),
        language,
      ),
    );
    const score = meteorOf(sumOf(rows), language);
    expect(score).toBeCloseTo(0.1855, 4);
  });
});
