import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { smallTokenizerJson } from "../../test/support/small-tokenizer.js";
import { FastTokenizer } from "./fast-tokenizer.js";
import { readTokenizerJson } from "./tokenizer-json.js";

const json = smallTokenizerJson();
const read = (changes: Record<string, unknown> = {}) =>
  new FastTokenizer(readTokenizerJson(JSON.stringify({ ...json, ...changes })));

interface Case {
  readonly text: string;
  readonly fast: number[];
  readonly fastText: string;
  readonly fastTextWithSpecialTokens: string;
}

const { cases } = JSON.parse(
  readFileSync(new URL("../../test/fixtures/text/small-tokenizer.json", import.meta.url), "utf8"),
) as { cases: Case[] };

describe("the small tokenizer.json, as Hugging Face's tokenizers", () => {
  const tokenizer = read();

  test.each(cases)("encodes and decodes $text", ({ text, fast, fastText, fastTextWithSpecialTokens }) => {
    expect(tokenizer.encode(text)).toEqual(fast);
    expect(tokenizer.decode(fast, true)).toBe(fastText);
    expect(tokenizer.decode(fast, false)).toBe(fastTextWithSpecialTokens);
  });

  test("takes a lone surrogate for U+FFFD", () => {
    expect(tokenizer.encode("a\ud83db")).toEqual(tokenizer.encode("a\ufffdb"));
  });
});

describe("other steps", () => {
  const metaspace = { type: "Metaspace", replacement: "▁" };
  const sequence = (...normalizers: object[]) => ({ type: "Sequence", normalizers });
  const [a, dog, space] = [5, 6, 4];

  test.each([
    ["no normaliser", { normalizer: null }, "a  dog", [a, space, dog]],
    [
      "Strip",
      { normalizer: sequence({ type: "Strip", strip_left: true, strip_right: true }) },
      " \ta \n",
      [a],
    ],
    [
      "Replace of a text",
      { normalizer: { type: "Replace", pattern: { String: "$" }, content: "$&o" } },
      "$",
      // "$&o" is taken literally: no "$&" stands for the match.
      [space, 3, 18],
    ],
    [
      "WhitespaceSplit before Metaspace",
      { pre_tokenizer: { type: "Sequence", pretokenizers: [{ type: "WhitespaceSplit" }, metaspace] } },
      "a dog \n",
      [a, dog],
    ],
    [
      "Metaspace without prefix",
      { pre_tokenizer: { ...metaspace, prepend_scheme: "never" } },
      "a dog",
      [9, dog],
    ],
    [
      "Metaspace of old files",
      { pre_tokenizer: { ...metaspace, add_prefix_space: false } },
      "a dog",
      [9, dog],
    ],
    ["Metaspace without split", { pre_tokenizer: { ...metaspace, split: false } }, "a dog", [a, dog]],
  ])("%s", (_, changes, text, ids) => {
    expect(read(changes).encode(text)).toEqual(ids);
  });

  test("tokens that were added behind the vocabulary", () => {
    const added = { id: json.model.vocab.length, content: "<PERSON>", single_word: false, lstrip: false };
    const list = [...(json.added_tokens as object[]), { ...added, rstrip: false, normalized: false }];
    expect(read({ added_tokens: list }).encode("a<PERSON>")).toEqual([a, json.model.vocab.length]);
  });

  test.each([
    ["a model of type BPE", { model: { type: "BPE", vocab: {}, merges: [] } }],
    ["byte fallback", { model: { ...json.model, byte_fallback: true } }],
    ["the normalizer", { normalizer: { type: "Lowercase" } }],
    ["the normalizer", { normalizer: { type: "Replace", pattern: { Regex: "(a+)+$" }, content: "" } }],
    ["the normalizer", { normalizer: sequence(sequence()) }],
    ["the pre_tokenizer", { pre_tokenizer: { type: "ByteLevel" } }],
    ["the pre_tokenizer", { pre_tokenizer: { ...metaspace, prepend_scheme: "first" } }],
    ["the decoder ByteLevel", { decoder: { type: "ByteLevel" } }],
    ["the decoder null", { decoder: null }],
    [
      "looked for in normalised text",
      {
        added_tokens: [
          { id: 0, content: "<s>", single_word: false, lstrip: false, rstrip: false, normalized: true },
        ],
      },
    ],
    [
      "as a whole word",
      {
        added_tokens: [
          { id: 0, content: "<s>", single_word: true, lstrip: false, rstrip: false, normalized: false },
        ],
      },
    ],
  ])("refuses %s", (what, changes) => {
    expect(() => read(changes)).toThrow(
      expect.objectContaining({ code: "option-unsupported", message: expect.stringContaining(what) }),
    );
  });
});

describe("a damaged tokenizer.json", () => {
  const model = json.model;

  test.each([
    ["nothing", {}, "vocab"],
    ["a list without scores", { ...model, vocab: ["a"] }, "model.vocab[0]"],
    ["a score that is none", { ...model, vocab: [["a", null]] }, "model.vocab[0]"],
    ["an unknown piece that is none", { ...model, unk_id: 10_000 }, "unk_id 10000"],
    ["special tokens elsewhere", { ...model, vocab: model.vocab.slice(1) }, "the added token <s>"],
  ])("is refused: %s", (_, damaged, reason) => {
    expect(() => read({ model: damaged })).toThrow(
      expect.objectContaining({ code: "tokenizer-damaged", message: expect.stringContaining(reason) }),
    );
  });

  test("never fails but with a typed error, wherever it is cut or changed", () => {
    const text = JSON.stringify(json);
    const place = fc.nat(text.length - 1);
    fc.assert(
      fc.property(
        place,
        fc.constantFrom("", "0", '"', "]", "}", ",", "null", "-", "\\"),
        fc.boolean(),
        (at, by, cut) => {
          const damaged = text.slice(0, at) + (cut ? "" : by + text.slice(at + 1));
          try {
            new FastTokenizer(readTokenizerJson(damaged)).encode("Ａｂ  the dog… 👍 e\u0301\n");
          } catch (error) {
            expect(["tokenizer-damaged", "option-unsupported"]).toContain((error as { code?: string }).code);
          }
        },
      ),
      { numRuns: 500 },
    );
  });
});
