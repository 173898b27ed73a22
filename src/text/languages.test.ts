import { expect, test } from "vitest";
import { languages, resolveLanguage } from "./languages.js";

test("has mBART-50's 52 languages in the order of their ids", () => {
  expect(languages).toHaveLength(52);
  expect(languages[0]).toEqual({ code: "ar_AR", iso: "ar", name: "Arabic" });
  expect(languages.findIndex(({ code }) => code === "en_XX")).toBe(3);
  expect(languages.at(-1)?.code).toBe("sl_SI");
  expect(new Set(languages.map(({ iso }) => iso)).size).toBe(52);
});

test.each(["en", "EN", "en_XX", "en_xx", " en "])("takes %j for English", (text) => {
  expect(resolveLanguage(text).code).toBe("en_XX");
});

test.each([
  ["german", 'Unknown language "german". Did you mean "de" (German)?'],
  ["en-US", 'Did you mean "en" (English)?'],
  ["Portugese", 'Did you mean "pt" (Portuguese)?'],
  ["xx", "Known languages: ar, cs, de"],
  ["", 'Unknown language "". Known languages:'],
])("refuses %j with advice", (text, message) => {
  expect(() => resolveLanguage(text)).toThrow(
    expect.objectContaining({ code: "unknown-language", message: expect.stringContaining(message) }),
  );
});

test("a language that the model lacks is named as such", () => {
  const known = languages.filter(({ iso }) => iso === "en" || iso === "es");
  expect(() => resolveLanguage("de", known)).toThrow(
    "The model does not speak German (de). Known languages: en, es.",
  );
});
