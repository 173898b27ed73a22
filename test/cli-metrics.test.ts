import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { failures, jsonLines, output, run } from "./support/command-line.js";
import { temporaryFolder } from "./support/tiny-captioner.js";

const shared = process.env.LINGOLENS_SHARED;

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let cwd: string;
beforeAll(async () => {
  folder = await temporaryFolder();
  cwd = folder.path;
  await writeFile(join(cwd, "out.txt"), "a red cube and a star\na dog a dog\n\n");
  await writeFile(join(cwd, "ref0.txt"), "a red cube and a star\ntwo dogs\na tree\n");
  await writeFile(join(cwd, "ref1.txt"), "one red cube\n\n\n");
});
afterAll(() => folder.remove());

describe("metrics", () => {
  const args = ["metrics", "--hypotheses", "out.txt", "--references", "ref0.txt", "ref1.txt", "--lang", "en"];

  it("--json is one language's object of evaluate --json", async () => {
    const [scores, ...more] = jsonLines(await output([...args, "--json"], { cwd }));
    expect(more).toEqual([]);
    expect(scores).toMatchObject({
      captions: 3,
      exactMatch: 1 / 3,
      bleu: new Array(4).fill(expect.any(Number)),
      sacreBleu: { score: expect.any(Number), interval: [expect.any(Number), expect.any(Number)] },
      chrf: expect.any(Number),
      cider: expect.any(Number),
      rougeL: expect.any(Number),
      languageFidelity: 2 / 3,
      emptyRate: 1 / 3,
      repetitionRate: 1 / 3,
      personRate: 0,
    });
    expect(scores.sacreBleu.signature).toMatch(/^nrefs:var\|.*\|case:mixed\|eff:no\|tok:13a\|/);
  });

  it("is a table for people, with sacreBLEU's signature", async () => {
    const table = await output([...args, "--lowercase", "--tokenize", "intl"], { cwd });
    expect(table).toMatch(/captions +exact .*chrF.*\nen +3 +0\.3333 .*\nsacreBLEU nrefs:.*case:lc.*tok:intl/);
  });

  it.each([
    ["a language that is none", ["--lang", "klingon"], 2, "klingon"],
    ["a tokenizer that is none", ["--tokenize", "words"], 2, "13a, intl, char, none"],
    [
      "files of different lengths",
      ["--references", "short.txt"],
      1,
      "short.txt, line 2: expected as many lines",
    ],
  ])("refuses %s", async (_, more, code, message) => {
    await writeFile(join(cwd, "short.txt"), "a red cube\n");
    const finished = await run([...args, ...more], { cwd });
    expect(finished.code).toBe(code);
    expect(finished.stderr).toContain(message);
    expect(finished.stdout).toBe("");
  });

  it.skipIf(!shared)("gives what sacreBLEU and COCO's evaluation give for COCO's example", async () => {
    const coco = join(shared!, "fixtures/eval/coco-caption");
    const [scores] = jsonLines(
      await output([
        ...["metrics", "--hypotheses", join(coco, "captions_val2014_fakecap_results.json")],
        ...["--references", join(coco, "en_captions_val2014.json"), "--lang", "en", "--json"],
      ]),
    );
    expect(scores.sacreBleu.score).toBeCloseTo(17.97090277051061, 9);
    expect(scores.cocoBleu.map((score: number) => score.toFixed(3))).toEqual([
      "0.579",
      "0.404",
      "0.279",
      "0.191",
    ]);
    expect(scores.cider).toBeCloseTo(0.6, 3);
    expect(scores.languageFidelity).toBeGreaterThan(0.99);
  });
});

describe("compare", () => {
  const writeRun = async (name: string, caption: (i: number) => string) => {
    await mkdir(join(cwd, name));
    const lines = Array.from({ length: 30 }, (_, i) => ({
      image: `${i}.png`,
      lang: i % 2 ? "en_XX" : "fr_XX",
      caption: caption(i),
      references: [`a red cube to the left of star number ${i}`],
    }));
    await writeFile(
      join(cwd, name, "captions.jsonl"),
      lines.map((line) => `${JSON.stringify(line)}\n`).join(""),
    );
  };
  beforeAll(async () => {
    await writeRun("good", (i) => `a red cube to the left of star number ${i}`);
    await writeRun("bad", (i) =>
      i % 2 ? `a cube, star ${i}` : `a red cube to the left of star number ${i}`,
    );
  });

  it("says by language which run is better, and whether it is significant", async () => {
    const [{ languages }] = jsonLines(await output(["compare", "good", "bad", "--json"], { cwd }));
    expect(languages.fr.sacreBleu).toMatchObject({ difference: 0, significant: false, better: null });
    for (const metric of ["bleu", "sacreBleu", "chrf", "cider"])
      expect(languages.en[metric]).toMatchObject({
        better: "a",
        significant: true,
        pValue: expect.any(Number),
      });
    const table = await output(["compare", "good", "bad"], { cwd });
    expect(table).toMatch(/\nen +15 +sacreBLEU +100\.00 +\d+\.\d+ +-\d+\.\d+ +0\.001 +A\n/);
    expect(table).toMatch(/\nfr +15 +CIDEr .* equal\n/);
  });

  it("names the folder that is no run", async () => {
    const { code, stderr } = await run(["compare", "good", "none"], { cwd });
    expect(code).toBe(1);
    expect(failures(stderr)).toEqual([expect.stringMatching(/none.captions\.jsonl.*\(file-not-found\)/)]);
  });
});
