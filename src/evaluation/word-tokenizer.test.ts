import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { wordTokens } from "./word-tokenizer.js";

const shared = process.env.LINGOLENS_SHARED;

/** Sentences and what NLTK 3.8's rules make of them, tokens joined by spaces. */
const examples: [text: string, tokens: string][] = [
  ["", ""],
  ["A dog runs.", "A dog runs ."],
  ["Mr. Fox sleeps. A bird sings.", "Mr. Fox sleeps. A bird sings ."],
  ['He said: "It\'s mine," twice.', "He said : `` It 's mine , '' twice ."],
  ["They can't, won't and cannot.", "They ca n't , wo n't and can not ."],
  ["it cost $3.88 (roughly 3,36 euros)!", "it cost $ 3.88 ( roughly 3,36 euros ) !"],
  ["I'm gonna gimme D'ye more'n wanna go", "I 'm gon na gim me D 'ye more 'n wan na go"],
  ["'tis the dogs' house", "'t is the dogs ' house"],
  ["l'été n'a qu'un « vélo »", "l'été n ' a qu'un « vélo »"],
  ["„Ein Hund“ – sagt er …", "„ Ein Hund “ – sagt er …"],
  ["stop... now--or 50% & more; a*b #1", "stop ... now -- or 50 % & more ; a * b # 1"],
  ['the end.")', "the end . '' )"],
  ["one\u00a0two\u3000three\ufefffour", "one two three\ufefffour"],
];

describe("wordTokens", () => {
  it.each(examples)("splits %j", (text, tokens) => {
    expect(wordTokens(text).join(" ")).toBe(tokens);
  });

  it("loses no letter, digit or space-free run of them", () => {
    const words = (text: string) => text.match(/[\p{L}\p{N}]/gu)?.join("") ?? "";
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), (text) => {
        expect(words(wordTokens(text).join(""))).toBe(words(text));
      }),
    );
  });
});

describe.skipIf(!shared)("NLTK 3.8 on real captions", () => {
  it("gives the same tokens for all hypotheses and references", () => {
    const file = readFileSync(join(shared!, "goldens/bleu/pairs.json"), "utf8");
    const { pairs } = JSON.parse(file) as {
      pairs: Record<"hyp" | "ref", string>[] & Record<string, string[]>[];
    };
    expect(pairs).toHaveLength(200);
    for (const pair of pairs) {
      expect(wordTokens(pair.hyp)).toEqual(pair.hyp_tokens);
      expect(wordTokens(pair.ref)).toEqual(pair.ref_tokens);
    }
  });
});
