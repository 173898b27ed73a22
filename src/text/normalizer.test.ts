import fc from "fast-check";
import { expect, test } from "vitest";
import { smallModel, smallRules } from "../../test/support/small-tokenizer.js";
import { sentencePieceNormalizer } from "./normalizer.js";
import { defaultNormalizer } from "./sentencepiece-model.js";

const { normalizer: spec } = smallModel();
const normalize = sentencePieceNormalizer({ spec });

test.each([
  ["a dog", "▁a▁dog"],
  ["  a \t dog\n", "▁a▁dog"],
  ["", ""],
  [" \u00a0\n", ""],
  ["\u200b", ""],
  ["ﬁ…½", "▁fi...1/2"],
  ["▁a", "▁▁a"],
  ["a\ud800b", "▁a▁b"],
])("normalises %j to %j", (text, expected) => {
  expect(normalize(text)).toBe(expected);
});

test("follows the model's rules for white space", () => {
  const keeping = sentencePieceNormalizer({
    spec: { ...spec, removeExtraWhitespaces: false, addDummyPrefix: false },
  });
  expect(keeping("  a  b ")).toBe("▁▁a▁▁b▁");
  const plain = sentencePieceNormalizer({ spec: { ...defaultNormalizer, escapeWhitespaces: false } });
  expect(plain("  a  b ")).toBe(" a b");
  const suffixing = sentencePieceNormalizer({ spec, whitespaceAsSuffix: true });
  expect(suffixing(" a dog ")).toBe("a▁dog▁");
});

test("leaves protected texts alone, the longest first", () => {
  const protecting = sentencePieceNormalizer({ spec, protectedTexts: ["½", "½…", "日本"] });
  expect(protecting("½… … ½ 日本")).toBe("▁½…▁...▁½▁日本");
});

test("is idempotent but for the space it puts in front", () => {
  const character = fc.constantFrom(...new Set(Object.keys(smallRules).join("")), "a", "é", "👍", " ", "\0");
  fc.assert(
    fc.property(fc.string({ unit: character, maxLength: 30 }), (text) => {
      const once = normalize(text);
      const spaced = once.replaceAll("▁", " ");
      expect(normalize(spaced)).toBe(once);
      expect(once).not.toMatch(/▁▁|▁$/);
    }),
  );
});
