import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { buildCharsMap, smallRules } from "../../test/support/small-tokenizer.js";
import { LingolensError } from "../errors.js";
import { CharsMap } from "./chars-map.js";

const utf8 = (text: string) => new TextEncoder().encode(text);
const bytes = buildCharsMap(smallRules);

describe("CharsMap", () => {
  const charsMap = new CharsMap(bytes);

  test.each(Object.entries(smallRules))("replaces %j by %j", (from, to) => {
    expect(charsMap.longestMatch(utf8(from))).toEqual({ length: utf8(from).length, replacement: to });
  });

  test("takes the longest rule, or the shortest one", () => {
    expect(charsMap.longestMatch(utf8("Ａｂ!"))).toEqual({ length: 6, replacement: "AB" });
    expect(charsMap.shortestMatch(utf8("Ａｂ!"))).toEqual({ length: 3, replacement: "A" });
  });

  test.each(["", "a", "e", "e\0\u0301", "\0", "ﾛ"])("has no rule for %j", (text) => {
    expect(charsMap.longestMatch(utf8(text))).toBeUndefined();
  });

  test("agrees with the rules on any text", () => {
    const rules = Object.entries(smallRules).map(([from, to]) => ({ from: utf8(from), to }));
    const texts = fc.string({
      unit: fc.constantFrom(...Object.keys(smallRules).join(""), "a", "e"),
      maxLength: 4,
    });
    fc.assert(
      fc.property(texts, (text) => {
        const matching = rules
          .filter(({ from }) => from.every((byte, index) => utf8(text)[index] === byte))
          .sort((a, b) => b.from.length - a.from.length);
        expect(charsMap.longestMatch(utf8(text))?.replacement).toBe(matching[0]?.to);
        expect(charsMap.shortestMatch(utf8(text))?.replacement).toBe(matching.at(-1)?.to);
      }),
    );
  });
});

describe("a damaged table", () => {
  test.each([0, 3, 7, 100, bytes.length - 200])("is refused when cut after %i bytes", (length) => {
    expect(() => new CharsMap(bytes.subarray(0, length))).toThrow(LingolensError);
  });

  test("never fails but with tokenizer-damaged", () => {
    const change = fc.record({ at: fc.nat(bytes.length - 1), to: fc.nat(255) });
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 20 }), (changes) => {
        const damaged = bytes.slice();
        for (const { at, to } of changes) damaged[at] = to;
        try {
          const charsMap = new CharsMap(damaged);
          for (const text of Object.keys(smallRules)) {
            charsMap.longestMatch(utf8(text));
            charsMap.shortestMatch(utf8(text));
          }
        } catch (error) {
          expect(error).toMatchObject({ code: "tokenizer-damaged" });
        }
      }),
      { numRuns: 500 },
    );
  });

  test("does not blow up a text", () => {
    const hostile = new CharsMap(buildCharsMap({ a: "x".repeat(2000) }));
    expect(() => hostile.longestMatch(utf8("a"))).toThrow("a replacement takes 2000 bytes");
  });
});
