import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { captionTokens } from "./caption-tokens.js";

const shared = process.env.LINGOLENS_SHARED;

describe("captionTokens", () => {
  // Captions made up after those of COCO that the tests below compare with the tokenizer's own results.
  it.each([
    ["A dog's bowl; the cat doesn't like it.", "a dog 's bowl the cat does n't like it"],
    ["It's 5:55, at the 11th St. sign, etc.", "it 's 5:55 at the 11th st. sign etc."],
    ['A sign that reads "Dead End".,', "a sign that reads dead end"],
    ["Eggs,milk and a half-full fridge/freezer - #25", "eggs milk and a half-full fridge/freezer # 25"],
    ["getting ready to bat.,", "getting ready to bat."],
    ["The dogs' house (<PERSON> cannot see) …", "the dogs house -lrb- <person> can not see -rrb-"],
    ["Grey colours at 6 p.m. in the theatre", "grey colors at 6 p.m. in the theater"],
    ["", ""],
    ["a dog 's bowl does n't -lrb- sit", "a dog 's bowl does n't -lrb- sit"],
  ])("en: %j", (text, tokens) => {
    expect(captionTokens(text, "en").join(" ")).toBe(tokens);
  });

  it.each([
    [
      "fr",
      "L’herbe d'un vélo, jusqu'à l'aéroport – aujourd'hui!",
      "l'herbe d'un vélo jusqu'à l'aéroport aujourd'hui",
    ],
    ["it", "L'orso dell'isola'", "l'orso dell'isola"],
    ["de", "Ein Hund (groß) läuft über die Straße.", "ein hund groß läuft über die straße"],
    ["es", "¿Un perro? ¡Sí!, 1,5 km", "un perro sí 1,5 km"],
    ["tr", "ISLAK bir İNEK", "ıslak bir inek"],
    ["zh", "两只狗,2只cat。", "两 只 狗 2 只 cat"],
    ["ja", "犬がボールで遊ぶ", "犬 が ボ ー ル で 遊 ぶ"],
    ["th", "หมาวิ่ง", "ห ม า วิ่ ง"],
    ["hi", "एक कुत्ता दौड़ता है।", "एक कुत्ता दौड़ता है"],
    ["de", "<PERSON> lächelt", "<person> lächelt"],
  ])("%s: %j", (lang, text, tokens) => {
    expect(captionTokens(text, lang).join(" ")).toBe(tokens.normalize("NFKC"));
  });

  it("never makes a token with a space, nor an empty one", () => {
    const langs = fc.constantFrom("en", "fr", "zh", "ar");
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), langs, (text, lang) => {
        for (const token of captionTokens(text, lang)) expect(token).toMatch(/^\S+$/);
      }),
    );
  });
});

describe.skipIf(!shared)("Stanford's tokenizer on COCO's captions", () => {
  const read = (name: string) =>
    JSON.parse(readFileSync(join(shared!, "fixtures/eval/coco-caption", name), "utf8"));

  it("gives the same tokens for all of 5,005 references", () => {
    const references: Record<string, string[]> = {};
    for (const { image_id, caption } of read("en_captions_val2014.json").annotations)
      references[image_id] = [...(references[image_id] ?? []), caption];
    const expected: Record<string, string[]> = read("en_captions_val2014_references_after_tokenization.json");
    const different = Object.entries(expected).flatMap(([image, captions]) =>
      captions.flatMap((caption, i) => {
        const tokens = captionTokens(references[image]![i]!, "en").join(" ");
        return tokens === caption ? [] : [`${tokens} ≠ ${caption}`];
      }),
    );
    expect(different).toEqual([]);
  });
});
