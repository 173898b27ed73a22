import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { sceneCaption } from "../data/scenes/caption.js";
import { sceneAt } from "../data/scenes/scene.js";
import { compareRuns } from "./compare-runs.js";
import { CAPTIONS_FILE, type RunCaption, readRun } from "./run-files.js";

/** Captions of scenes in which some words are lost: the more, the more often `every` divides a word's place. */
function captionsOf(lang: string, count: number, every: number): RunCaption[] {
  return Array.from({ length: count }, (_, index) => {
    const { text } = sceneCaption(sceneAt({ split: "test", seed: 3, index, size: 64 }), lang);
    const caption = text.split(" ").filter((_word, i) => (i + index) % every > 0);
    return { image: `${index}.png`, lang, caption: caption.join(" "), references: [text] };
  });
}
const runOf = (...captions: RunCaption[][]) => new Map(captions.map((list) => [list[0]!.lang, list]));

describe("compareRuns", () => {
  it("says which run is better and that it is no chance, in each language", () => {
    const worse = runOf(captionsOf("en", 60, 3), captionsOf("de", 60, 9));
    const better = runOf(captionsOf("en", 60, 6), captionsOf("de", 60, 4));
    const { languages } = compareRuns(worse, better);
    expect(Object.keys(languages)).toEqual(["en", "de"]);
    for (const key of ["bleu", "sacreBleu", "chrf", "cider"] as const) {
      expect(languages.en![key], key).toMatchObject({ better: "b", significant: true });
      expect(languages.de![key], key).toMatchObject({ better: "a", significant: true });
      const { a, b, difference, pValue } = languages.en![key];
      expect(difference).toBeCloseTo(b - a, 12);
      expect(pValue).toBeLessThan(0.01);
      expect(compareRuns(better, worse).languages.en![key].difference).toBeCloseTo(-difference, 12);
    }
  });

  it("finds nothing between equal runs, nor where a single caption differs", () => {
    const captions = captionsOf("fr", 40, 5);
    expect(compareRuns(runOf(captions), runOf(captions)).languages.fr!.sacreBleu).toEqual({
      a: expect.any(Number),
      b: expect.any(Number),
      difference: 0,
      pValue: 1,
      significant: false,
      better: null,
    });
    const other = [{ ...captions[0]!, caption: captions[0]!.references[0]! }, ...captions.slice(1)];
    const { sacreBleu } = compareRuns(runOf(captions), runOf(other)).languages.fr!;
    expect(sacreBleu).toMatchObject({ better: "b", significant: false });
  });

  it("compares the pictures that both have", () => {
    const captions = captionsOf("es", 10, 5);
    const { languages } = compareRuns(runOf(captions.slice(2)), runOf(captions.slice(0, 8).toReversed()));
    expect(languages.es).toMatchObject({ captions: 6, chrf: { difference: 0 } });
  });

  it("refuses runs on other data", () => {
    const captions = captionsOf("en", 3, 5);
    const invalid = (message: RegExp) =>
      expect.objectContaining({ code: "dataset-invalid", message: expect.stringMatching(message) });
    expect(() => compareRuns(runOf(captions), runOf(captionsOf("de", 3, 5)))).toThrow(
      invalid(/share no picture/),
    );
    const changed = captions.map((caption) => ({ ...caption, references: ["a tree"] }));
    expect(() => compareRuns(runOf(captions), runOf(changed))).toThrow(
      invalid(/different references of 0\.png in en/),
    );
  });
});

describe("readRun", () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "lingolens-run-"));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));
  const write = (...lines: string[]) => writeFile(join(folder, CAPTIONS_FILE), lines.join("\n"));
  const line = (lang: string, image = "a.png") =>
    JSON.stringify({ image, lang, caption: "a dog", references: ["dogs"], score: -0.5 });

  it("gives captions by language, whatever the order of lines", async () => {
    await write(line("en_XX"), line("de"), "", line("en", "b.png"), "");
    const run = await readRun(folder);
    expect([...run.keys()]).toEqual(["en", "de"]);
    expect(run.get("en")!.map(({ image }) => image)).toEqual(["a.png", "b.png"]);
    expect(run.get("de")![0]).toEqual(JSON.parse(line("de")));
  });

  it.each([
    ["no JSON", "{", /line 2: expected \{"image"/],
    ["no references", '{"image":"a.png","lang":"de","caption":"a","references":[]}', /line 2/],
    ["a caption twice", line("en_XX"), /line 2: expected one caption of a\.png in en, got another/],
  ])("refuses %s", async (_, second, message) => {
    await write(line("en"), second);
    await expect(readRun(folder)).rejects.toThrow(
      expect.objectContaining({ code: "dataset-invalid", message: expect.stringMatching(message) }),
    );
  });

  it("refuses a folder without captions", async () => {
    await write("");
    await expect(readRun(folder)).rejects.toThrow(expect.objectContaining({ code: "dataset-invalid" }));
    await expect(readRun(join(folder, "none"))).rejects.toThrow(
      expect.objectContaining({ code: "file-not-found" }),
    );
  });
});
