import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Caption } from "../captioning/caption.js";
import { wordsOf } from "./words.js";

/** A caption of tokens, each with the text it adds, two patches of attention and a probability. */
function captionOf(
  pieces: readonly string[],
  attention: readonly number[][],
  probabilities: readonly number[],
): Caption {
  return {
    text: pieces.join(""),
    score: 0,
    tokens: [2, ...pieces.map((_, i) => i + 10)],
    pieces,
    attention: attention.map((row) => [0.5, ...row]),
    logProbs: probabilities.map(Math.log),
  };
}

describe("wordsOf", () => {
  it("gives a word what all of its tokens have", () => {
    const pieces = ["", "un", " cer", "cle", ".", ""];
    const rows = [
      [9, 9],
      [1, 0],
      [0, 0.2],
      [0, 0.4],
      [5, 5],
      [9, 9],
    ];
    const words = wordsOf(captionOf(pieces, rows, [1, 0.9, 0.5, 0.5, 0.1, 1]), "fr_XX");
    expect(words.map(({ text }) => text)).toEqual(["un", " ", "cercle", "."]);
    expect(words.map(({ isWord }) => isWord)).toEqual([true, false, true, false]);
    expect(words[0]!.attention).toEqual([1, 0]);
    expect(words[2]!.attention![1]).toBeCloseTo(0.3);
    expect(words[2]!.probability).toBeCloseTo(0.25);
    expect(words[3]).toEqual({ text: ".", isWord: false });
  });

  it("gives a token of several words to each of them", () => {
    const words = wordsOf(
      captionOf(
        ["", "a red", " ball"],
        [
          [0, 0],
          [1, 0],
          [0, 1],
        ],
        [1, 1, 1],
      ),
      "en_XX",
    );
    expect(words.filter(({ isWord }) => isWord).map(({ attention }) => attention)).toEqual([
      [1, 0],
      [1, 0],
      [0, 1],
    ]);
  });

  it("finds words where a language writes no spaces", () => {
    const words = wordsOf(
      captionOf(
        ["", "蓝色", "圆形"],
        [
          [0, 0],
          [1, 0],
          [0, 1],
        ],
        [1, 1, 1],
      ),
      "zh_CN",
    );
    expect(words.map(({ text }) => text)).toEqual(["蓝色", "圆形"]);
    expect(words[1]!.attention).toEqual([0, 1]);
  });

  it("says nothing of words whose tokens are not known", () => {
    const caption = captionOf(
      ["", "a ball"],
      [
        [0, 0],
        [1, 0],
      ],
      [1, 1],
    );
    expect(wordsOf({ ...caption, text: "a bell" }, "en_XX")[0]).toEqual({ text: "a", isWord: true });
    expect(wordsOf({ text: "a", score: 0, tokens: [2] }, "en_XX")).toEqual([{ text: "a", isWord: true }]);
  });

  it("loses no letter of any caption", () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: "grapheme" })), (pieces) => {
        const ones = pieces.map(() => 1);
        const words = wordsOf(
          captionOf(
            pieces,
            pieces.map(() => [1, 0]),
            ones,
          ),
          "en_XX",
        );
        expect(words.map(({ text }) => text).join("")).toBe(pieces.join(""));
      }),
    );
  });
});
