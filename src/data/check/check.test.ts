import { mkdir, mkdtemp, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type HostileWeb, startHostileWeb } from "../../../test/support/hostile-web.js";
import { jpeg, type Members, writeTar } from "../../../test/support/shards.js";
import { parseColumns } from "../download/columns.js";
import { downloadPictures } from "../download/download.js";
import { checkDataset } from "./check.js";
import type { Problem } from "./problem.js";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "lingolens-check-"));
});
afterEach(() => rm(folder, { recursive: true }));

async function check(input = folder, task = { taskIndex: 0, taskCount: 1 }) {
  const problems: Problem[] = [];
  const { samples } = await checkDataset({ input, task, onProblem: (problem) => problems.push(problem) });
  return { samples, problems };
}

const found = async (input?: string) =>
  (await check(input)).problems.map(
    ({ kind, place, message }) => `${kind}: ${place.slice(folder.length + 1)} ${message}`,
  );

const good = async (number: number, json: object = {}): Promise<Members> => {
  const key = `${number}`.padStart(6, "0");
  const description = { caption: `picture ${number}`, width: 48, height: 40, ...json };
  return [
    [`${key}.jpg`, await jpeg(number)],
    [`${key}.txt`, `picture ${number}`],
    [`${key}.json`, JSON.stringify(description)],
  ];
};

describe("shards", () => {
  it("that are good have no problem", async () => {
    await writeTar(join(folder, "00000.tar"), [...(await good(1)), ...(await good(2))]);
    await writeTar(join(folder, "00001.tar"), await good(3));
    expect(await check()).toEqual({ samples: 3, problems: [] });
  });

  it("are named where they are cut short or no tar files, and the others are checked", async () => {
    await writeTar(join(folder, "00000.tar"), [...(await good(1)), ...(await good(2))]);
    await truncate(join(folder, "00000.tar"), 4000);
    await writeTar(join(folder, "00001.tar"), await good(3));
    await truncate(join(folder, "00001.tar"), (await readFile(join(folder, "00001.tar"))).length - 700);
    await writeFile(join(folder, "00002.tar"), "x".repeat(2048));
    await writeTar(join(folder, "00003.tar"), [...(await good(4)).slice(1), ...(await good(5))]);
    expect(await found()).toEqual([
      expect.stringMatching(/^truncated: 00000.tar /),
      expect.stringMatching(/^truncated: 00001.tar /),
      expect.stringMatching(/^damaged: 00002.tar /),
      expect.stringMatching(/^incomplete: 00003.tar, "000004" has no picture/),
    ]);
  });

  it("have samples named that are not what they say", async () => {
    const png = await sharp(await jpeg(9))
      .png()
      .toBuffer();
    const whole = await jpeg(8);
    const broken = whole.subarray(0, Math.floor(0.8 * whole.length));
    await writeTar(join(folder, "00000.tar"), [
      ["a.jpg", png],
      ["a.txt", "a"],
      ["b.jpg", broken],
      ["b.txt", "b"],
      ["c.jpg", "<html>not found</html>"],
      ["c.txt", "c"],
      ...(await good(4, { width: 47 })),
      ...(await good(5, { caption: "another" })),
      ["f.jpg", await jpeg(6)],
      ["g.jpg", await jpeg(7)],
      ["g.json", '{"captions":{}}'],
      ["h.jpg", await jpeg(10)],
      ["h.json", "{"],
      ["i.jpg", await jpeg(11)],
      ["i.txt", Buffer.from([0xff, 0xfe])],
    ]);
    expect((await found()).map((line) => line.slice(0, 60))).toEqual(
      [
        'mislabelled: 00000.tar, "a" ends in .jpg and is PNG',
        'unreadable: 00000.tar, "b" cannot be decoded: the file starts as JPEG but is',
        'unreadable: 00000.tar, "c" cannot be decoded: the file is no picture: it is an HTML page',
        'mislabelled: 00000.tar, "000004" is said to have 47 x 40 pixels and has 48 x 40',
        'mislabelled: 00000.tar, "000005" has another caption in .txt than in .json',
        'incomplete: 00000.tar, "f" has neither .json nor .txt',
        'incomplete: 00000.tar, "g" expected captions in at least one',
        'incomplete: 00000.tar, "h" expected a JSON object, got "{"',
        'damaged: 00000.tar, "i" its .txt is no UTF-8 text of at most 4 MiB',
        'incomplete: 00000.tar, "i" has neither .json nor .txt',
      ].map((line) => expect.stringContaining(line.slice(0, 60))),
    );
  });

  it("have duplicates named, of keys and of pictures, across shards and splits", async () => {
    await mkdir(join(folder, "train"));
    await mkdir(join(folder, "validation"));
    await writeTar(join(folder, "train", "00000.tar"), [
      ...(await good(1)),
      ...(await good(2)),
      ["000003.jpg", await jpeg(2)],
      ["000003.txt", "the same"],
      ["000004.jpg", await jpeg(4)],
      ["000004.jpg", await jpeg(5)],
      ["000004.txt", "two"],
    ]);
    await writeTar(join(folder, "validation", "00000.tar"), await good(1));
    expect(await found()).toEqual([
      `duplicate: train/00000.tar, "000003" has the same picture as sample 2 of ${folder}/train/00000.tar`,
      `duplicate: train/00000.tar, "000004" has two files that end in .jpg`,
      `duplicate: validation/00000.tar, "000001" has the key of sample 1 of ${folder}/train/00000.tar`,
      `duplicate: validation/00000.tar, "000001" has the same picture as sample 1 of ${folder}/train/00000.tar`,
    ]);
  });

  it("are divided among tasks", async () => {
    for (let i = 0; i < 5; i++) await writeTar(join(folder, `0000${i}.tar`), await good(i));
    const tasks = await Promise.all([0, 1].map((taskIndex) => check(folder, { taskIndex, taskCount: 2 })));
    expect(tasks.map(({ samples }) => samples)).toEqual([3, 2]);
  });
});

describe("a folder of data download", () => {
  let web: HostileWeb;
  let out: string;
  beforeEach(async () => {
    web = await startHostileWeb({ rows: 90, without: ["timeout", "too-large", "http-500"] });
    await writeFile(join(folder, "list.tsv"), web.tsv);
    out = join(folder, "out");
    await downloadPictures({
      input: join(folder, "list.tsv"),
      columns: parseColumns("url,caption"),
      out,
      shardSize: 30,
      lookup: web.lookup,
      fetch: { allowPrivate: true, deadline: 20, perHost: 32 },
    });
  });
  afterEach(() => web.close());

  it("has no problem but pictures that came as several files and became the same one", async () => {
    const { samples, problems } = await check(out);
    expect(samples).toBe(web.counts.succeeded);
    expect(new Set(problems.map(({ kind }) => kind))).toEqual(new Set(["duplicate"]));
  });

  it("is held to its lists, counts and markers", async () => {
    const stats = JSON.parse(await readFile(join(out, "00000_stats.json"), "utf8"));
    await writeFile(join(out, "00000_stats.json"), JSON.stringify({ ...stats, successes: 1 }));
    const tar = await readFile(join(out, "00001.tar"));
    const at = tar.indexOf(Buffer.from("caption"));
    tar[at] = 0x43;
    await writeFile(join(out, "00001.tar"), tar);
    await rm(join(out, "00002.done.json"));
    await writeTar(join(out, "00002.tar"), await good(1));
    expect(await found(out)).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/^missing: out\/00002.tar is not done yet/),
        expect.stringMatching(/^disagreeing: out\/00000_stats.json counts 30 rows and 1 pictures/),
        expect.stringMatching(/^damaged: out\/00001.tar is not the file that 00001.done.json/),
        expect.stringMatching(/^disagreeing: out\/00002.parquet names samples that are not there/),
        expect.stringMatching(/^disagreeing: out\/00002.parquet does not name samples that are/),
      ]),
    );
  });
});

it("a list has every bad line and picture named", async () => {
  const lines = [
    { image: "1.jpg", captions: { en: "one" } },
    { image: "2.jpg" },
    { image: "3.png", captions: { en: "three" } },
    { image: "4.jpg", captions: { en: "four" } },
    { image: "1.jpg", captions: { en: "again" } },
    { image: "5.jpg", captions: { en: "a copy" } },
  ];
  await writeFile(
    join(folder, "captions.jsonl"),
    `${lines.map((line) => JSON.stringify(line)).join("\n")}\n{`,
  );
  for (const name of ["1.jpg", "5.jpg"]) await writeFile(join(folder, name), await jpeg(1));
  await writeFile(join(folder, "3.png"), await jpeg(3));
  const { samples, problems } = await check();
  expect(samples).toBe(5);
  expect(problems.map(({ kind, place }) => [kind, place.slice(folder.length + 1)])).toEqual([
    ["damaged", "captions.jsonl, line 2"],
    ["mislabelled", 'captions.jsonl, "3.png"'],
    ["missing", 'captions.jsonl, "4.jpg"'],
    ["duplicate", 'captions.jsonl, "1.jpg"'],
    ["duplicate", 'captions.jsonl, "5.jpg"'],
    ["damaged", "captions.jsonl, line 7"],
  ]);
});
