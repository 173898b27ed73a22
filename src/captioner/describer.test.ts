import { describe, expect, it } from "vitest";
import { Describer } from "./describer.js";
import { resolveCaptionOptions } from "./options.js";

describe("the text of a caption", () => {
  const tokenizer = { decode: () => "Foto von <PERSON>" };
  const describer = new Describer({} as never, {} as never, tokenizer as never, undefined);

  it.each([
    ["keep", "Foto von <PERSON>"],
    ["word", "Foto von einer Person"],
    ["drop", "Foto"],
  ] as const)("with the person policy %s", (person, expected) => {
    expect(describer.text([], "de_DE", resolveCaptionOptions({ person }))).toBe(expected);
  });

  it("is refused where a policy does not know the language", () => {
    expect(() => describer.text([], "fi_FI", { person: "word" })).toThrow(/got "fi"/);
  });
});
