import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { failures, jsonLines, output, run, start } from "./support/command-line.js";
import { temporaryFolder } from "./support/tiny-captioner.js";

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let cwd: string;
const scenes = ["data", "scenes", "--count", "4", "--seed", "9", "--split", "test"];

beforeAll(async () => {
  folder = await temporaryFolder();
  cwd = folder.path;
  await output([...scenes, "--out", "scenes"], { cwd });
});
afterAll(() => folder.remove());

describe("--help", () => {
  it("of every command says how it is used, with examples", async () => {
    const commands: string[][] = [[]];
    for (const command of commands) {
      const help = await output([...command, "--help"]);
      const name = ["lingolens", ...command].join(" ");
      expect(help).toContain(`Usage: ${name} `);
      const [, examples] = help.split("\nExamples:\n");
      expect(examples, name).toMatch(/^ {2}.*\blingolens /m);
      const [, list = ""] = help.split("\nCommands:\n");
      for (const [, sub] of list.split("\n\n")[0]!.matchAll(/^ {2}([a-z]\S*)/gm))
        if (sub !== "help") commands.push([...command, sub!]);
    }
    expect(commands.map((command) => command.join(" "))).toEqual(
      expect.arrayContaining(["caption", "train", "evaluate", "score", "tokenize", "data scenes"]),
    );
  });

  it("--version is the package's", async () => {
    const { version } = JSON.parse(await readFile(new URL("../package.json", import.meta.url), "utf8"));
    expect(await output(["--version"])).toBe(`${version}\n`);
  });
});

describe("wrong use", () => {
  const picture = "scenes/images/000001.png";
  it.each([
    ["no command", [], "Usage: lingolens"],
    ["an unknown command", ["capton", picture], "Did you mean caption?"],
    ["no picture", ["caption"], "missing required argument 'picture'"],
    ["an unknown option", ["caption", picture, "--beam", "3"], "Did you mean --beams?"],
    ["an unknown language", ["caption", picture, "--lang", "en,klingon"], '"klingon"'],
    ["a language that the model was not trained for", ["caption", picture, "--lang", "nl"], "Dutch"],
    ["no number", ["caption", picture, "--beams", "many"], "'many'"],
    ["a number too small", ["caption", picture, "--beams", "0"], "from 1"],
    ["a value that is no choice", ["caption", picture, "--format", "xml"], "text, jsonl, csv"],
    ["options that do not go together", ["caption", picture, "--temperature", "2"], "sampling"],
    ["--attention in text", ["caption", picture, "--attention"], "--format jsonl"],
    [
      "int8 on a GPU",
      ["caption", picture, "--device", "cuda", "--dtype", "int8"],
      "in int8 are of processors",
    ],
    ["an unknown language of lines", ["tokenize", "--lang", "xx"], '"xx"'],
    ["no data to evaluate on", ["evaluate"], "--data"],
    ["an unknown split", ["data", "scenes", "--count", "1", "--out", "x", "--split", "all"], "unseen-pairs"],
    ["an unknown recipe", ["train", "sences"], "scenes, fine-tune"],
    ["an unknown key", ["train", "scenes", "--set", "step=3", "--out", "x"], 'Did you mean "steps"?'],
    ["a value that does not fit", ["train", "scenes", "--set", "steps=few", "--out", "x"], "steps"],
  ])("%s ends with 2 and says what is wrong", async (_, args, words) => {
    const { code, stdout, stderr } = await run(args, { cwd });
    expect(code).toBe(2);
    expect(stdout).toBe("");
    expect(stderr).toContain(words);
    expect(stderr).not.toMatch(/^ +at /m);
  });

  it("an unknown language does not wait for the first line", async () => {
    const { finished } = start(["tokenize", "--lang", "xx"]);
    expect((await finished).code).toBe(2);
  });
});

it("a model that is not there is a failed input, named", async () => {
  const { code, stderr } = await run(["caption", "scenes/images", "--model", "no-model"], { cwd });
  expect(code).toBe(1);
  expect(failures(stderr)).toEqual([expect.stringMatching(/no-model.*\(file-not-found\)/)]);
});

describe("tokenize", () => {
  it("gives a JSON line per line, as [lang] tokens </s>", async () => {
    const stdin = 'a red circle\r\n\n  un "cercle" 圆 \na red circle';
    const lines = jsonLines(await output(["tokenize", "--lang", "en", "--json"], { stdin }));
    expect(lines.map(({ text }) => text)).toEqual(["a red circle", "", '  un "cercle" 圆 ', "a red circle"]);
    for (const line of lines) {
      expect(Object.keys(line)).toEqual(["text", "tokens"]);
      expect([line.tokens[0], line.tokens.at(-1)]).toEqual([335, 2]); // en_XX and </s>
    }
    expect(lines[1].tokens).toEqual([335, 2]);
    expect(lines[3]).toEqual(lines[0]);
  });

  it("gives the pieces for people", async () => {
    const pieces = await output(["tokenize", "--lang", "de_DE"], { stdin: "ein Kreis\n" });
    expect(pieces).toMatch(/^de_DE ▁\S.* <\/s>\n$/);
  });
});

describe("score", () => {
  it("adds tokens and nll to every line, lower for what is there; a picture that fails has an error", async () => {
    const [first, second] = jsonLines(await readFile(join(cwd, "scenes/captions.jsonl"), "utf8"));
    const given = [
      { image: first.image, lang: "en", caption: first.captions.en[0], note: "kept" },
      { image: first.image, lang: "en_XX", caption: second.captions.en[0] },
      { image: "images/missing.png", lang: "en", caption: "a red circle" },
      { image: second.image, lang: "de", caption: second.captions.de[0] },
    ];
    await writeFile(
      join(cwd, "scenes/given.jsonl"),
      given.map((line) => `${JSON.stringify(line)}\n`).join(""),
    );
    const { code, stdout, stderr } = await run(["score", "--data", "scenes/given.jsonl", "--json"], { cwd });
    expect(code).toBe(1);
    const scored = jsonLines(stdout);
    expect(scored).toMatchObject(given);
    expect(scored[2].error.code).toBe("file-not-found");
    expect(failures(stderr)).toEqual([expect.stringContaining("images/missing.png")]);
    const [right, wrong] = scored;
    expect(right.nll).toBeLessThan(0.5);
    expect(wrong.nll).toBeGreaterThan(right.nll + 1);
    const tokenized = await output(["tokenize", "--json"], { stdin: right.caption });
    expect(right.tokens).toEqual(jsonLines(tokenized)[0].tokens);
  });

  it("of a dataset scores all captions in the model's languages", async () => {
    const lines = jsonLines(await readFile(join(cwd, "scenes/captions.jsonl"), "utf8")).slice(0, 2);
    const split = {
      ...lines[0],
      captions: { en: [lines[0].captions.en[0], "no"], fil: ["isa"] },
      split: "val",
    };
    const list = [split, lines[1]].map((line) => JSON.stringify(line)).join("\n");
    await writeFile(join(cwd, "scenes/splits.jsonl"), list);
    const args = ["score", "--data", "scenes/splits.jsonl", "--split", "val", "--json"];
    const scored = jsonLines(await output(args, { cwd }));
    expect(scored).toMatchObject([
      { image: split.image, lang: "en_XX", caption: split.captions.en[0], nll: expect.any(Number) },
      { image: split.image, lang: "en_XX", caption: "no", nll: expect.any(Number) },
    ]);
    expect(scored[0].nll).toBeLessThan(scored[1].nll);
  });

  it("names the line of a file that is none of the kind", async () => {
    await writeFile(
      join(cwd, "bad.jsonl"),
      '{"image":"a.png","lang":"en","caption":"a"}\n{"image":"a.png"}\n',
    );
    const { code, stderr } = await run(["score", "--data", "bad.jsonl"], { cwd });
    expect(code).toBe(1);
    expect(failures(stderr)).toEqual([expect.stringMatching(/bad\.jsonl, line 2.*\(dataset-invalid\)/)]);
  });
});

describe("evaluate", () => {
  it("--json gives the scores of every language", async () => {
    const args = ["evaluate", "--data", "scenes", "--lang", "en,de", "--limit", "3", "--json"];
    const [report, ...more] = jsonLines(await output(args, { cwd }));
    expect(more).toEqual([]);
    expect(report.loss).toBeGreaterThan(0);
    expect(Object.keys(report.languages)).toEqual(["en", "de"]);
    for (const scores of Object.values<Record<string, unknown>>(report.languages)) {
      expect(scores).toMatchObject({ captions: 3, loss: expect.any(Number), exactMatch: expect.any(Number) });
      expect(scores.exactMatch).toBeLessThanOrEqual(1);
      const bleu = scores.bleu as number[];
      expect(bleu).toHaveLength(4);
      expect(bleu).toEqual(bleu.toSorted((a, b) => b - a));
      expect(bleu[0]).toBeGreaterThan(0.5);
      expect(bleu[0]).toBeLessThanOrEqual(1);
    }
  });

  it("is a table for people", async () => {
    const table = await output(["evaluate", "--data", "scenes", "--lang", "fr", "--limit", "1"], { cwd });
    expect(table).toMatch(/captions +loss +exact.*\nfr +1 +\d/);
  });
});

describe("data scenes", () => {
  it("writes the same bytes for the same command, and others for another seed", async () => {
    await output([...scenes, "--out", "again"], { cwd });
    await output([...scenes, "--seed", "10", "--out", "other"], { cwd });
    const first = await contents(join(cwd, "scenes"));
    expect([...first.keys()].filter((name) => name.endsWith(".png"))).toHaveLength(4);
    expect(await contents(join(cwd, "again"))).toEqual(first);
    expect(await contents(join(cwd, "other"))).not.toEqual(first);
  });

  it("never writes over another dataset", async () => {
    await mkdir(join(cwd, "taken"));
    await writeFile(join(cwd, "taken/captions.jsonl"), "{}\n");
    const { code, stderr } = await run([...scenes, "--out", "taken"], { cwd });
    expect(code).toBe(1);
    expect(failures(stderr)).toEqual([expect.stringContaining("(already-exists)")]);
    expect(await readFile(join(cwd, "taken/captions.jsonl"), "utf8")).toBe("{}\n");
  });
});

/** The dataset's files by name. */
async function contents(path: string): Promise<Map<string, string>> {
  const names = ["captions.jsonl", ...(await readdir(join(path, "images"))).map((name) => `images/${name}`)];
  const files = names.map(async (name) => [name, await readFile(join(path, name), "base64")] as const);
  return new Map(await Promise.all(files));
}

describe("train", () => {
  it("writes a run folder, says where the model is, and that model captions", async () => {
    const small = ["visionLayers=1", "decoderLayers=1", "visionHiddenSize=32", "decoderHiddenSize=32"];
    const sets = [
      "steps=2",
      "batchSize=4",
      "evaluateCount=4",
      "logEvery=1",
      ...small.map((set) => `model.${set}`),
    ];
    const args = ["train", "scenes", "--out", "run", "--json", ...sets.flatMap((set) => ["--set", set])];
    const [result] = jsonLines(await output(args, { cwd }));
    expect(result).toEqual({ step: 2, loss: expect.any(Number), model: join("run", "final") });

    expect((await readdir(join(cwd, "run"))).sort()).toEqual(
      expect.arrayContaining(["checkpoints", "final", "metrics.jsonl", "recipe.json"]),
    );
    expect(await readdir(join(cwd, "run/checkpoints"))).toEqual(["step-000002"]);
    expect(JSON.parse(await readFile(join(cwd, "run/recipe.json"), "utf8"))).toMatchObject({
      steps: 2,
      batchSize: 4,
      seed: 42,
    });
    const metrics = jsonLines(await readFile(join(cwd, "run/metrics.jsonl"), "utf8"));
    expect(metrics).toMatchObject([
      { step: 1, loss: expect.any(Number), lr: 0 },
      { step: 2, loss: expect.any(Number), lr: expect.any(Number) },
      { step: 2, evaluation: { loss: expect.any(Number) } },
    ]);
    const { stdout, stderr } = await run(
      ["caption", "scenes/images/000001.png", "--model", "run/final", "--max-length", "6", "--json"],
      { cwd },
    );
    expect(jsonLines(stdout)).toMatchObject([{ lang: "en_XX" }]);
    expect(stderr).toBe(""); // The note is on the bundled model only.
  });
});
