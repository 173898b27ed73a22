import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { sceneCaption } from "../data/scenes/caption.js";
import { sceneAt } from "../data/scenes/scene.js";
import { resolveLanguage } from "../text/languages.js";
import { languageFidelity, loadLanguageIdentifier } from "./language-fidelity.js";

const shared = process.env.LINGOLENS_SHARED;
const identify = await loadLanguageIdentifier();

describe("languageFidelity", () => {
  it("is the share of captions in the language, empty ones in none", () => {
    const captions = ["Ein Hund läuft über eine Wiese.", "A dog runs across a meadow.", "", "<PERSON>"];
    expect(languageFidelity(captions, "de", identify)).toBe(0.25);
    expect(languageFidelity(captions, "en", identify)).toBe(0.25);
    expect(languageFidelity(captions, "fr", identify)).toBe(0);
  });

  it("is nothing for languages that the identifier does not know", () => {
    expect(languageFidelity(["'n Hond hardloop"], "af", identify)).toBeNull();
  });

  it.each([
    ["ar", "كلب يركض في الحديقة"],
    ["hi", "एक कुत्ता पार्क में दौड़ रहा है"],
    ["ja", "犬が公園を走っています"],
    ["ru", "Собака бежит по парку"],
    ["zh", "一只狗在公园里跑"],
    ["nl", "Een hond rent door het park met een bal"],
    ["it", "Un cane corre nel parco con una palla"],
    ["pt", "Um cachorro corre no parque com uma bola"],
  ])("knows %s", (lang, text) => {
    expect(identify(text)).toBe(lang);
  });

  it.each(["en", "de", "fr", "es"])("is at least 0.99 on captions of scenes in %s", (lang) => {
    const captions = Array.from({ length: 500 }, (_, index) => {
      return sceneCaption(sceneAt({ split: "test", seed: 1, index, size: 64 }), lang).text;
    });
    expect(languageFidelity(captions, resolveLanguage(lang).iso, identify)).toBeGreaterThanOrEqual(0.99);
  });
});

describe.skipIf(!shared)("languageFidelity on Multi30k", () => {
  const folder = join(shared ?? "", "fixtures/multilingual");
  const read = (lang: string, split: string) =>
    lang === "es"
      ? readFileSync(join(folder, "multi30k-es-machine", `${split}.es`), "utf8")
      : gunzipSync(readFileSync(join(folder, "multi30k/raw", `${split}.${lang}.gz`))).toString();

  it.each(["en", "de", "fr", "es"])("is at least 0.99 in %s", (lang) => {
    const captions = ["val", "test_2016_flickr", "test_2017_mscoco"].flatMap((split) =>
      read(lang, split).trim().split("\n"),
    );
    expect(captions.length).toBeGreaterThan(2400);
    expect(languageFidelity(captions, lang, identify)).toBeGreaterThanOrEqual(0.99);
  });
});
