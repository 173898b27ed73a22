import { describe, expect, it } from "vitest";
import type { DatasetEntry } from "../data/dataset.js";
import { LanguageMix } from "./language-mix.js";

const languages = ["en", "de", "fr", "es"];

const entry = (image: string, captions: Record<string, string[]>): DatasetEntry => ({
  image,
  imagePath: image,
  captions,
  fields: {},
});
const full = (image: string) =>
  entry(image, { en_XX: ["en 1", "en 2", "en 3"], de: ["de 1"], fr: ["fr 1"], es: ["es 1"] });

const chosen = (mix: LanguageMix, picture: DatasetEntry, pass: number) =>
  mix.choose(picture, pass).map(({ language }) => language);

describe("LanguageMix", () => {
  it("takes every language in each pass by default, in the recipe's order, captions in turn", () => {
    const mix = new LanguageMix({ languages, seed: 1 });
    const english = new Set<string>();
    for (let pass = 0; pass < 3; pass++) {
      const captions = mix.choose(full("a"), pass);
      expect(captions.map(({ language }) => language)).toEqual(languages);
      english.add(captions[0]!.text);
    }
    expect([...english].sort()).toEqual(["en 1", "en 2", "en 3"]);
  });

  it("with a quarter for each of four languages takes one a pass, and all in four passes", () => {
    const mix = new LanguageMix({ languages, weights: { en: 0.25, de: 0.25, fr: 0.25, es: 0.25 }, seed: 7 });
    const first = new Map<string, number>();
    for (let i = 0; i < 200; i++) {
      const picture = full(`${i}.jpg`);
      const passes = [0, 1, 2, 3].flatMap((pass) => chosen(mix, picture, pass));
      expect([...passes].sort()).toEqual([...languages].sort());
      first.set(passes[0]!, (first.get(passes[0]!) ?? 0) + 1);
    }
    // Pictures start with different languages.
    for (const language of languages) expect(first.get(language)).toBeGreaterThan(25);
  });

  it("takes each language in its share of passes", () => {
    const weights = { en: 1, de: 0.5, fr: 0.3, es: 0.1 };
    const mix = new LanguageMix({ languages, weights, seed: 7 });
    const counts: Record<string, number> = {};
    for (let pass = 0; pass < 1000; pass++)
      for (const language of chosen(mix, full("a"), pass)) counts[language] = (counts[language] ?? 0) + 1;
    for (const [language, weight] of Object.entries(weights))
      expect(Math.abs(counts[language]! - 1000 * weight), language).toBeLessThanOrEqual(1);
  });

  it("takes some language that a picture has, in every pass", () => {
    const mix = new LanguageMix({ languages, weights: { en: 0.1, de: 0.1, fr: 0.1, es: 0.1 }, seed: 7 });
    const picture = entry("a", { fr: ["f"], es: ["e"] });
    const taken = Array.from({ length: 20 }, (_, pass) => chosen(mix, picture, pass));
    expect(taken.every((list) => list.length === 1)).toBe(true);
    expect(new Set(taken.flat())).toEqual(new Set(["fr", "es"]));
    expect(mix.choose(entry("b", { it: ["i"] }), 0)).toEqual([]);
  });

  it("shows every caption of a language whose turn comes rarely", () => {
    const mix = new LanguageMix({ languages: ["en"], weights: { en: 0.5 }, seed: 3 });
    const texts = Array.from({ length: 12 }, (_, pass) => mix.choose(full("a"), pass)[0]!.text);
    expect(new Set(texts)).toEqual(new Set(["en 1", "en 2", "en 3"]));
  });
});
