import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { countPersons, PERSON, personsIn, withPersonPolicy } from "./person-mask.js";

describe("word", () => {
  it.each([
    ["en", "<PERSON> arrives at the premiere", "A person arrives at the premiere"],
    ["en", "portrait of <PERSON> <PERSON> on stage", "portrait of a person on stage"],
    ["en", "<PERSON> and <PERSON> in Paris", "Two people in Paris"],
    ["en", "cast: <PERSON>, <PERSON>, and <PERSON>.", "cast: people."],
    ["en", "the <PERSON> of the year", "the person of the year"],
    ["en", "a house by <PERSON>'s side", "a house by a person's side"],
    ["de", "<PERSON> auf der Bühne", "Eine Person auf der Bühne"],
    ["de", "ein Foto von <PERSON> in Berlin", "ein Foto von einer Person in Berlin"],
    ["de", "Fans begrüßen <PERSON>", "Fans begrüßen eine Person"],
    ["de", "Mit <PERSON> und <PERSON>", "Mit zwei Personen"],
    ["de", "Blumen zum <PERSON>", "Blumen zur Person"],
    ["de", "<PERSON>s Haus", "Einer Person Haus"],
    ["de", "Der <PERSON> lacht", "Die Person lacht"],
    ["es", "foto de <PERSON> en la playa", "foto de una persona en la playa"],
    ["es", "foto del <PERSON>", "foto de la persona"],
    ["es", "<PERSON>, <PERSON> y <PERSON> sonríen", "Varias personas sonríen"],
    ["fr", "photo de <PERSON> à la plage", "photo d'une personne à la plage"],
    ["fr", "photo de <PERSON> et <PERSON>", "photo de deux personnes"],
    ["fr", "un chien qu'<PERSON> promène", "un chien qu'une personne promène"],
    ["fr", "avec <PERSON>", "avec une personne"],
    ["it", "foto del <PERSON> al mare", "foto della persona al mare"],
    ["pt", "foto do <PERSON> na praia", "foto da pessoa na praia"],
  ])("%s: %s", (lang, text, expected) => {
    expect(withPersonPolicy(text, lang, "word")).toBe(expected);
  });
});

describe("drop", () => {
  it.each([
    ["en", "photo of <PERSON> at the beach", "photo at the beach"],
    ["en", "<PERSON>, <PERSON> and <PERSON> at the premiere", "at the premiere"],
    ["en", "<PERSON> <PERSON>", ""],
    ["de", "Foto von <PERSON>, Berlin", "Foto, Berlin"],
    ["fr", "photo d'<PERSON> à la plage", "photo à la plage"],
  ])("%s: %s", (lang, text, expected) => {
    expect(withPersonPolicy(text, lang, "drop")).toBe(expected);
  });
});

it("leaves no mask in any text, and texts without one as they are", () => {
  const words = fc.constantFrom(
    PERSON,
    "<person>",
    ",",
    "and",
    "von",
    "de",
    "d'",
    "the",
    "dog",
    "'s",
    ".",
    " ",
  );
  const policy = fc.constantFrom("word", "drop") as fc.Arbitrary<"word" | "drop">;
  const lang = fc.constantFrom("en", "de", "es", "fr", "it", "pt");
  fc.assert(
    fc.property(fc.array(words, { maxLength: 12 }), policy, lang, (list, policy, lang) => {
      const text = list.join(" ");
      const result = withPersonPolicy(text, lang, policy);
      if (countPersons(text) === 0) expect(result).toBe(text);
      else expect(countPersons(result)).toBe(0);
      expect(withPersonPolicy(text, lang, "keep")).toBe(text);
    }),
  );
});

it("refuses a language without a table, whether or not the text needs it", () => {
  expect(() => withPersonPolicy("a dog", "fi", "word")).toThrow(
    /knows the languages en, de, es, fr, it, pt; got "fi"/,
  );
  expect(withPersonPolicy("<PERSON> ui", "fi", "keep")).toBe("<PERSON> ui");
});

it("counts a given name and a surname as one person of two masks", () => {
  const text = "<PERSON> <PERSON> and <PERSON>";
  expect(countPersons(text)).toBe(3);
  expect(personsIn(text)).toEqual([
    { text: "<PERSON> <PERSON>", start: 0 },
    { text: "<PERSON>", start: 22 },
  ]);
});
