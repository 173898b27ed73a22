import { createWriteStream } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { pack } from "tar-stream";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { writeTinyMarian } from "../../test/support/tiny-marian.js";
import { openDataset, pictureOf } from "../data/dataset.js";
import { type TranslateDatasetOptions, translateDataset } from "./translate-dataset.js";
import { type LoadPair, Translator } from "./translator.js";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "lingolens-translate-"));
});
afterEach(() => rm(folder, { recursive: true }));

/** Translates "a dog, number 7" into something German of the same length, and anything else badly. */
function germanPair(onText: (text: string) => void = () => {}): LoadPair {
  return async (to) => {
    const texts: string[] = [];
    return {
      to,
      model: `opus-${to}`,
      revision: "abc",
      longestSource: 512,
      encode: (text) => [texts.push(text) - 1],
      translate: async (sources) =>
        sources.map(([id]) => {
          const text = texts[id!]!;
          onText(text);
          const number = /\d+/.exec(text)?.[0];
          const good = `ein Hund läuft über die Wiese, Nummer ${number}`;
          return { text: text.includes("dog") ? good : text, score: -0.5, length: 8 };
        }),
      close: async () => {},
    };
  };
}

const dog = (i: number): string => `a dog runs over the meadow, number ${i}`;

async function writeShard(path: string, first: number, count: number): Promise<void> {
  const archive = pack();
  const written = pipeline(archive, createWriteStream(path));
  for (let i = first; i < first + count; i++) {
    const key = `${i}`.padStart(6, "0");
    const caption = i % 10 === 9 ? "how nice this is for all of us" : dog(i);
    archive.entry({ name: `${key}.jpg` }, Buffer.from(`picture ${i}`));
    archive.entry({ name: `${key}.txt` }, caption);
    archive.entry({ name: `${key}.json` }, JSON.stringify({ key, url: `http://x/${i}`, caption }));
  }
  archive.finalize();
  await written;
}

async function writeShards(): Promise<string> {
  const input = join(folder, "in");
  await mkdir(input);
  for (let shard = 0; shard < 4; shard++) await writeShard(join(input, `0000${shard}.tar`), shard * 20, 20);
  return input;
}

const defaults = {
  to: ["de"],
  from: "en",
  beams: 4,
  person: "keep",
  task: { taskIndex: 0, taskCount: 1 },
} as const;

async function translate(
  options: Pick<TranslateDatasetOptions, "input" | "out"> & Partial<TranslateDatasetOptions>,
  load: LoadPair = germanPair(),
) {
  const translator = await Translator.create({}, load);
  return translateDataset({ ...defaults, ...options, translator });
}

async function contentOf(out: string): Promise<Record<string, string>> {
  const names = (await readdir(out)).filter((name) => name.endsWith(".tar")).sort();
  return Object.fromEntries(
    await Promise.all(names.map(async (name) => [name, await readFile(join(out, name), "latin1")])),
  );
}

describe("shards", () => {
  it("get translations and their provenance, and keep everything else", async () => {
    const input = await writeShards();
    const out = join(folder, "out");
    const result = await translate({ input, out });
    expect(result).toMatchObject({ entries: 80, leftOut: 0, complete: true });
    expect(result.counts.de).toMatchObject({ accepted: 72, rejected: { untranslated: 8 } });
    expect(result.counts.de!.samples.untranslated![0]!.source).toBe("how nice this is for all of us");

    const entries = [];
    for await (const entry of (await openDataset(out)).entries()) entries.push(entry);
    expect(entries.length).toBe(80);
    const [first] = entries;
    expect(first!.captions).toEqual({ en: [dog(0)], de: ["ein Hund läuft über die Wiese, Nummer 0"] });
    expect(first!.fields).toMatchObject({
      url: "http://x/0",
      translations: { de: [{ model: "opus-de", revision: "abc", score: -0.5, verdict: "ok" }] },
    });
    expect(`${await pictureOf(first!)}`).toBe("picture 0");
    const rejected = entries[9]!;
    expect(Object.keys(rejected.captions)).toEqual(["en"]);
    expect(rejected.fields.translations).toMatchObject({
      de: [{ verdict: "untranslated", rejected: "how nice this is for all of us" }],
    });
  });

  it("are done in parts by several tasks, two of which may be the same, to equal bytes", async () => {
    const input = await writeShards();
    await translate({ input, out: join(folder, "whole") });
    const out = join(folder, "parts");
    const task = (taskIndex: number) => translate({ input, out, task: { taskIndex, taskCount: 3 } });
    expect(await task(1)).toMatchObject({ entries: 20, complete: false });
    await Promise.all([task(0), task(0), task(2)]);
    expect(await task(1)).toMatchObject({ entries: 80, complete: true });
    expect(await contentOf(out)).toEqual(await contentOf(join(folder, "whole")));
    expect((await readdir(out)).filter((name) => /tmp|lock/.test(name))).toEqual([]);
  });

  it("go on where a command was interrupted", async () => {
    const input = await writeShards();
    const out = join(folder, "out");
    const controller = new AbortController();
    const seen: string[] = [];
    const interrupted = translate(
      {
        input,
        out,
        signal: controller.signal,
        onProgress: ({ done }) => done === 2 && controller.abort(),
      },
      germanPair((text) => seen.push(text)),
    );
    await expect(interrupted).rejects.toMatchObject({ code: "cancelled" });
    await translate(
      { input, out },
      germanPair((text) => seen.push(text)),
    );
    // What is done is not translated again; the text that all shards have is, once a command.
    const dogs = seen.filter((text) => text.includes("dog"));
    expect(dogs.length).toBe(new Set(dogs).size);
    expect(dogs.length).toBe(72);
    await translate({ input, out: join(folder, "whole") });
    expect(await contentOf(out)).toEqual(await contentOf(join(folder, "whole")));
  });

  it("are made anew where the source has changed or the file is gone, and only then", async () => {
    const input = await writeShards();
    const out = join(folder, "out");
    await translate({ input, out });
    await rm(join(out, "00001.tar"));
    await writeShard(join(input, "00002.tar"), 200, 20);
    await utimes(join(input, "00002.tar"), 1, 1);
    const seen: string[] = [];
    await translate(
      { input, out },
      germanPair((text) => seen.push(text)),
    );
    const numbers = seen.flatMap((text) => /\d+/.exec(text)?.[0] ?? []).map(Number);
    expect(numbers.every((number) => (number >= 20 && number < 40) || number >= 200)).toBe(true);
    expect(numbers.length).toBe(36);
  });

  it("take more languages from where the first are", async () => {
    const input = await writeShards();
    const first = join(folder, "de");
    const out = join(folder, "de-fr");
    await translate({ input, out: first });
    await expect(translate({ input, out: first, to: ["fr"] })).rejects.toThrow(/begun with to \["de"\]/);
    await translate({ input: first, out, to: ["fr"] });
    for await (const { captions, fields } of (await openDataset(out)).entries()) {
      expect(Object.keys(fields.translations as object)).toEqual(["de", "fr"]);
      if (!captions.en![0]!.includes("how")) expect(captions.de).toBeDefined();
    }
  });

  it("refuse their own place, the captions' own language, and what holds no shards", async () => {
    const input = await writeShards();
    await expect(translate({ input, out: input })).rejects.toThrow(/another place/);
    await expect(translate({ input, out: join(folder, "out"), to: ["en"] })).rejects.toThrow(/"en" already/);
    await expect(translate({ input: join(folder, "none"), out: join(folder, "out") })).rejects.toThrow(
      /expected shards/,
    );
  });
});

describe("captions.jsonl", () => {
  const line = (i: number) =>
    JSON.stringify({ image: `images/${i}.png`, captions: { en: [dog(i)] }, number: i });

  it("is translated piece by piece and appears whole, once all tasks are done", async () => {
    const count = 12_000;
    const path = join(folder, "captions.jsonl");
    await writeFile(path, Array.from({ length: count }, (_, i) => `${line(i)}\n`).join(""));
    expect((await stat(path)).size).toBeGreaterThan(2 ** 20);
    const out = join(folder, "out.jsonl");
    const task = (taskIndex: number) => translate({ input: path, out, task: { taskIndex, taskCount: 2 } });
    expect(await task(0)).toMatchObject({ complete: false });
    expect(await readdir(folder)).not.toContain("out.jsonl");
    expect(await task(1)).toMatchObject({ entries: count, complete: true });
    expect(await task(0)).toMatchObject({ entries: count, complete: true });
    const lines = (await readFile(out, "utf8")).trimEnd().split("\n");
    expect(lines.length).toBe(count);
    const last = JSON.parse(lines.at(-1)!);
    expect(last).toMatchObject({ image: "images/11999.png", number: 11999 });
    expect(last.captions.de).toEqual(["ein Hund läuft über die Wiese, Nummer 11999"]);
    expect((await readdir(folder)).sort()).toEqual([
      "captions.jsonl",
      "out.jsonl",
      "out.jsonl.translated.json",
    ]);
    await expect(translate({ input: path, out, to: ["fr"] })).rejects.toMatchObject({
      code: "config-invalid",
    });
  });

  it("loses entries that are nothing but names, where names are dropped", async () => {
    const path = join(folder, "captions.jsonl");
    await writeFile(
      path,
      `${JSON.stringify({ image: "a.png", captions: { en: "<PERSON>" } })}\n` +
        `${JSON.stringify({ image: "b.png", captions: { en: `<PERSON>, ${dog(1)}`, it: "x" } })}\n`,
    );
    const out = join(folder, "out");
    const result = await translate({ input: folder, out, person: "drop" });
    expect(result).toMatchObject({ entries: 2, leftOut: 1 });
    const entry = JSON.parse(await readFile(join(out, "captions.jsonl"), "utf8"));
    expect(entry).toMatchObject({ image: "b.png", captions: { en: [dog(1)], it: ["x"] } });
  });
});

it("translates with Marian models in folders, in fp32 and int8, the same every time", async () => {
  process.env.XDG_CACHE_HOME = join(folder, "cache");
  for (const [i, lang] of ["de", "fr"].entries())
    await writeTinyMarian(join(folder, "models", `opus-mt-en-${lang}`), i);
  const path = join(folder, "captions.jsonl");
  const captions = ["the dog", "a dog dog the dog.", "<PERSON> the dog"];
  await writeFile(
    path,
    captions.map((en, i) => `${JSON.stringify({ image: `${i}.png`, captions: { en } })}\n`).join(""),
  );
  const run = (out: string, more: Partial<TranslateDatasetOptions>) =>
    translateDataset({
      ...defaults,
      to: ["de", "fr"],
      input: path,
      out: join(folder, out),
      models: join(folder, "models"),
      onNotice: () => {},
      ...more,
    });
  await run("1.jsonl", {});
  await run("2.jsonl", {});
  const first = await readFile(join(folder, "1.jsonl"), "utf8");
  expect(await readFile(join(folder, "2.jsonl"), "utf8")).toBe(first);
  const { translations } = JSON.parse(first.split("\n")[0]!);
  expect(translations.de[0]).toMatchObject({
    model: "opus-mt-en-de",
    revision: expect.stringMatching(/^[0-9a-f]{40}$/),
  });
  expect(translations.de[0].revision).not.toBe(translations.fr[0].revision);

  await run("3.jsonl", { dtype: "int8" });
  const rounded = JSON.parse((await readFile(join(folder, "3.jsonl"), "utf8")).split("\n")[0]!);
  expect(rounded.translations.de[0].score).toBeCloseTo(translations.de[0].score, 1);
  await expect(run("4.jsonl", { models: join(folder, "none") })).rejects.toMatchObject({
    code: "file-not-found",
  });
});

it("rounds a model that takes but few tokens", async () => {
  process.env.XDG_CACHE_HOME = join(folder, "cache");
  await writeTinyMarian(join(folder, "few", "opus-mt-en-de"), 3, 16);
  const path = join(folder, "captions.jsonl");
  await writeFile(path, `${JSON.stringify({ image: "1.png", captions: { en: "the dog ".repeat(20) } })}\n`);
  const { entries } = await translateDataset({
    ...{ ...defaults, to: ["de"], input: path, out: join(folder, "few.jsonl"), dtype: "int8" },
    ...{ models: join(folder, "few"), onNotice: () => {} },
  });
  expect(entries).toBe(1);
});
