import { expect, it } from "vitest";
import { CODES, languageName, matches, sortedCodes } from "./languages.js";

it("has all 52 languages, the first four first", () => {
  expect(new Set(CODES).size).toBe(52);
  expect(CODES.slice(0, 4)).toEqual(["en_XX", "de_DE", "fr_XX", "es_XX"]);
});

it("names and sorts languages as the reader does", () => {
  expect(languageName("de_DE", "fr")).toBe("allemand");
  const german = sortedCodes("de")
    .slice(4)
    .map((code) => languageName(code, "de"));
  expect(german).toEqual(german.toSorted(new Intl.Collator("de").compare));
  expect(sortedCodes("es").toSorted()).toEqual(CODES.toSorted());
});

it("finds a language by its name here, in itself and in English, by its codes, and without accents", () => {
  const found = (typed: string) => CODES.filter((code) => matches(code, typed, "de"));
  expect(found("türk")).toEqual(["tr_TR"]);
  expect(found("TURKCE")).toEqual(["tr_TR"]);
  expect(found("turkish")).toEqual(["tr_TR"]);
  expect(found("tr_tr")).toEqual(["tr_TR"]);
  expect(found("日本")).toEqual(["ja_XX"]);
  expect(found("klingonisch")).toEqual([]);
  expect(found("")).toHaveLength(52);
});
