import { describe, expect, it } from "vitest";
import { captionFaults } from "./caption-faults.js";

describe("captionFaults", () => {
  it("counts empty captions, <PERSON>, words and different words", () => {
    const faults = captionFaults(["A dog runs.", "  ", "…", "<PERSON> and a dog"], "en");
    expect(faults).toEqual({
      emptyRate: 0.5,
      repetitionRate: 0,
      personRate: 0.25,
      distinct1: 5 / 7,
      distinct2: 4 / 5,
      meanLength: 7 / 4,
    });
  });

  it.each([
    ["en", "a red red cube", true],
    ["en", "a dog a dog", true],
    ["en", "a man and a woman and a child", false],
    ["en", "to the left of the left of the cube", true],
    ["en", "<PERSON><PERSON><PERSON>", true],
    ["en", "a dog and a cat", false],
    ["en", "a man with a dog and a woman with a dog", false],
    ["zh", "人人都在看", false],
    ["zh", "一只狗一只狗", true],
  ])("%s: %j repeats: %s", (lang, caption, expected) => {
    expect(captionFaults([caption], lang).repetitionRate).toBe(expected ? 1 : 0);
  });

  it("is 0 where there is nothing to count", () => {
    expect(captionFaults([""], "de")).toMatchObject({ distinct1: 0, distinct2: 0, meanLength: 0 });
  });
});
