import { cp, readdir, readFile, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { failures, jsonLines, output, run, start } from "./support/command-line.js";
import { temporaryFolder, writeTinyCaptioner } from "./support/tiny-captioner.js";

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let cwd: string;
const PICTURES = 40;
const evaluate = ["evaluate", "--data", "scenes", "--lang", "en,de", "--batch-size", "4"];

beforeAll(async () => {
  folder = await temporaryFolder();
  cwd = folder.path;
  const scenes = ["data", "scenes", "--count", String(PICTURES), "--seed", "9", "--split", "test"];
  await output([...scenes, "--out", "scenes"], { cwd });
  await output([...evaluate, "--report", "whole"], { cwd });
});
afterAll(() => folder.remove());

const read = (...path: string[]) => readFile(join(cwd, ...path), "utf8");
async function contents(name: string): Promise<Record<string, string>> {
  const names = (await readdir(join(cwd, name))).sort();
  return Object.fromEntries(await Promise.all(names.map(async (file) => [file, await read(name, file)])));
}
const linesIn = async (name: string) =>
  (await read(name, "captions.jsonl").catch(() => "")).split("\n").length - 1;

describe("evaluate --report", () => {
  it("keeps captions, scores, report and what was asked for", async () => {
    const files = await contents("whole");
    expect(Object.keys(files)).toEqual(["captions.jsonl", "metrics.json", "report.html", "settings.json"]);
    const lines = jsonLines(files["captions.jsonl"]!);
    expect(lines).toHaveLength(2 * PICTURES);
    expect(lines[1]).toEqual({
      image: "images/000001.png",
      lang: "de",
      caption: expect.any(String),
      references: [expect.any(String)],
      score: expect.any(Number),
      nll: expect.any(Number),
      tokens: expect.any(Number),
    });
    expect(JSON.parse(files["settings.json"]!)).toMatchObject({ beams: 4, lang: ["en_XX", "de_DE"] });
  });

  it("prints what it keeps, and what is printed without it", async () => {
    const [printed] = jsonLines(await output([...evaluate, "--json"], { cwd }));
    expect(JSON.parse(await read("whole", "metrics.json"))).toEqual(printed);
    // Every token of the references weighs the same.
    const lines = jsonLines(await read("whole", "captions.jsonl"));
    const sum = (of: (line: { nll: number; tokens: number }) => number) =>
      lines.reduce((total, line) => total + of(line), 0);
    expect(printed.loss).toBeCloseTo(
      sum(({ nll, tokens }) => nll * tokens) / sum(({ tokens }) => tokens),
      12,
    );
  });

  it("killed and started again, it comes to the same files, to the last bit", async () => {
    const { child, finished } = start([...evaluate, "--report", "killed"], { cwd });
    while ((await linesIn("killed")) < 8) await wait(5);
    child.kill("SIGKILL");
    expect((await finished).code).toBe(null);
    const made = await linesIn("killed");
    expect(made).toBeLessThan(2 * PICTURES);
    expect(await readdir(join(cwd, "killed"))).not.toContain("metrics.json");
    await output([...evaluate, "--report", "killed"], { cwd });
    expect(await contents("killed")).toEqual(await contents("whole"));
  });

  it("makes a line that was cut short again, and keeps those before", async () => {
    await cp(join(cwd, "whole"), join(cwd, "cut"), { recursive: true });
    const text = await read("cut", "captions.jsonl");
    // A caption that only this file has shows that what was made is kept.
    const [first, ...more] = text.split("\n");
    const changed = JSON.stringify({ ...JSON.parse(first!), caption: "KEPT" });
    await writeFile(join(cwd, "cut", "captions.jsonl"), [changed, ...more].join("\n"));
    await truncate(join(cwd, "cut", "captions.jsonl"), Math.floor(Buffer.byteLength(text) / 2));
    await output([...evaluate, "--report", "cut"], { cwd });
    expect(await read("cut", "captions.jsonl")).toBe([changed, ...more].join("\n"));
  });

  it("interrupted, it ends with 130 and can go on", async () => {
    const { child, finished } = start([...evaluate, "--report", "interrupted"], { cwd });
    while ((await linesIn("interrupted")) < 8) await wait(5);
    child.kill("SIGINT");
    const { code, stderr } = await finished;
    expect(code).toBe(130);
    expect(failures(stderr)).toEqual([expect.stringContaining("(cancelled)")]);
    await output([...evaluate, "--report", "interrupted"], { cwd });
    expect(await contents("interrupted")).toEqual(await contents("whole"));
  });

  it.each([
    ["other beams", ["--beams", "2"], "beams 4, not 2"],
    ["other languages", ["--lang", "en"], "another data"],
    ["fewer pictures", ["--limit", "3"], "limit none, not 3"],
    ["another model", ["--model", "tiny"], "another model"],
  ])("refuses the folder of a run with %s", async (_, more, words) => {
    if (more.includes("tiny")) await writeTinyCaptioner(join(cwd, "tiny"));
    const { code, stdout, stderr } = await run([...evaluate, ...more, "--report", "whole"], { cwd });
    expect(code).toBe(1);
    expect(stdout).toBe("");
    expect(failures(stderr)).toEqual([expect.stringMatching(new RegExp(`${words}.*\\(already-exists\\)`))]);
  });

  it("names a picture that cannot be read, and scores the others", async () => {
    await cp(join(cwd, "scenes"), join(cwd, "damaged"), { recursive: true });
    await writeFile(join(cwd, "damaged/images/000002.png"), "no picture");
    const args = [
      "evaluate",
      "--data",
      "damaged",
      "--lang",
      "en",
      "--limit",
      "4",
      "--json",
      "--report",
      "four",
    ];
    const { code, stdout, stderr } = await run(args, { cwd });
    expect(code).toBe(1);
    expect(failures(stderr)).toEqual([expect.stringMatching(/images\/000002\.png.*\(unreadable-image\)/)]);
    const [report] = jsonLines(stdout);
    expect(report).toMatchObject({ failed: 1, languages: { en: { captions: 3 } } });
    expect(await read("four", "report.html")).toContain("1 picture could not be read");
  });

  it("is what compare compares", async () => {
    await output([...evaluate, "--beams", "1", "--report", "greedy"], { cwd });
    const [{ languages }] = jsonLines(await output(["compare", "whole", "greedy", "--json"], { cwd }));
    expect(Object.keys(languages)).toEqual(["en", "de"]);
    expect(languages.de).toMatchObject({ captions: PICTURES, chrf: { a: expect.any(Number) } });
  });
});

describe("evaluate --like original", () => {
  it("makes the card's table from a checkpoint and the original's TSV", async () => {
    await writeTinyCaptioner(join(cwd, "checkpoint"));
    const rows = jsonLines(await read("scenes", "captions.jsonl")).flatMap(({ image, captions }) =>
      Object.entries({ en: "en_XX", de: "de_DE", fr: "fr_XX", es: "es_XX" }).map(([lang, code]) =>
        [image.replace("images/", ""), captions[lang][0], "https://example.org/", code].join("\t"),
      ),
    );
    await writeFile(join(cwd, "val.tsv"), `image_file\tcaption\turl\tlang_id\n${rows.join("\n")}\n`);
    const args = ["evaluate", "--model", "checkpoint", "--data", "val.tsv", "--images", "scenes/images"];
    const like = [...args, "--like", "original"];
    const [report] = jsonLines(await output([...like, "--json"], { cwd }));
    expect(report.published).toEqual({ loss: 2.6 });
    expect(Object.keys(report.languages)).toEqual(["en", "es", "de", "fr"]);
    expect(report.languages.de.published.bleu).toEqual([0.14234, 0.09817, 0.07405, 0.0515]);
    // One chunk of fewer than 512.
    for (const { bleu, bleuChunks } of Object.values<{ bleu: number[]; bleuChunks: number[] }>(
      report.languages,
    ))
      expect(bleuChunks).toEqual(bleu);

    const table = await output([...like, "--limit", "4"], { cwd });
    expect(table).toMatch(/all languages: loss \d+\.\d+, published about 2\.6\n/);
    expect(table).toMatch(
      /BLEU-1 +BLEU-2 +BLEU-3 +BLEU-4\nen {2}ours +0\.\d{5} .*\nen {2}published +0\.13083 .* 0\.04899\n/,
    );
    expect(table).toMatch(/\nfr {2}published +0\.13021 +0\.08862 +0\.06598 +0\.04647\n$/);

    const plain = jsonLines(await output([...args, "--lang", "en", "--json"], { cwd }));
    expect(plain[0].languages.en.bleu).toEqual(report.languages.en.bleu);
  });

  it("refuses another search than the original's", async () => {
    const { code, stderr } = await run([...evaluate, "--like", "original", "--beams", "2"], { cwd });
    expect(code).toBe(2);
    expect(failures(stderr)).toEqual([
      expect.stringContaining("beams 4 and maxLength 64 alone; got beams 2"),
    ]);
  });
});
