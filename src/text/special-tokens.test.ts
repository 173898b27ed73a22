import { expect, test } from "vitest";
import { specialTokenSplitter } from "./special-tokens.js";

const token = (id: number, content: string, stripsLeft = false, stripsRight = false) => ({
  id,
  content,
  stripsLeft,
  stripsRight,
});
const split = specialTokenSplitter([
  token(0, "<s>"),
  token(2, "</s>"),
  token(5, "[x]", false, true),
  token(6, "[x]+"),
  token(9, "<mask>", true),
]);

test.each([
  ["", []],
  ["a dog", ["a dog"]],
  ["<s>a </s>", [0, "a ", 2]],
  ["</s></s>", [2, 2]],
  ["a \n<mask> b", ["a", 9, " b"]],
  ["<s> <mask>", [0, 9]],
  ["[x]  b", [5, "b"]],
  ["[x]+ b", [6, " b"]],
  ["<S>< s>", ["<S>< s>"]],
])("cuts %j into %j", (text, parts) => {
  expect(split(text)).toEqual(parts);
});

test("without special tokens a text stays whole", () => {
  expect(specialTokenSplitter([])("a<s>")).toEqual(["a<s>"]);
});
