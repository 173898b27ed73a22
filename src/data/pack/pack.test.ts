import { cp, mkdir, mkdtemp, readdir, readFile, rm, utimes } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { jpeg, type Members, writeTar } from "../../../test/support/shards.js";
import { checkDataset } from "../check/check.js";
import { type DatasetEntry, readDataset } from "../dataset.js";
import { quotedFields } from "../formats/tsv.js";
import { inspectDataset, inspectionJson } from "../inspect/inspect.js";
import { type PackOptions, packDataset } from "./pack.js";
import { positionOf, Threshold } from "./split.js";
import { tsvRow } from "./tsv-row.js";

let folder: string;
let input: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "lingolens-pack-"));
  input = join(folder, "in");
  await mkdir(input);
});
afterEach(() => rm(folder, { recursive: true }));

const SHARD = 20;

async function writeShard(shard: number): Promise<void> {
  const members: Members[] = [];
  for (let i = 0; i < SHARD; i++) {
    const number = shard * SHARD + i;
    const key = `${number}`.padStart(6, "0");
    const captions = {
      en: [`a "dog"\t${number}`, "two"],
      ...(number % 10 !== 0 && { de_DE: `Hund ${number}` }),
    };
    members.push([
      [`${key}.jpg`, await jpeg(number, 16, 16)],
      [`${key}.txt`, `a dog ${number}`],
      [`${key}.json`, JSON.stringify({ url: `http://x/${number}`, captions, sha256: `hash ${number}` })],
    ]);
  }
  await writeTar(join(input, `0000${shard}.tar`), members.flat());
}

async function writeShards(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await writeShard(i);
}

function pack(out: string, options: Partial<PackOptions> = {}) {
  const task = { taskIndex: 0, taskCount: 1 };
  return packDataset({ input, out: join(folder, out), validation: { share: 0.2 }, task, ...options });
}

/** All that a reader of the folder sees. */
async function contentOf(out: string): Promise<Record<string, string>> {
  const names = (await readdir(join(folder, out), { recursive: true })).filter((name) =>
    /^(?:train|validation).*\.(?:tar|tsv)$/.test(name),
  );
  return Object.fromEntries(
    await Promise.all(
      names.sort().map(async (name) => [name, await readFile(join(folder, out, name), "latin1")]),
    ),
  );
}

async function entriesOf(path: string): Promise<DatasetEntry[]> {
  const entries: DatasetEntry[] = [];
  for await (const entry of readDataset(join(folder, path))) entries.push(entry);
  return entries;
}

const names = (entries: readonly DatasetEntry[]) => entries.map(({ image }) => image);

describe("packDataset", () => {
  it("puts every picture into one of the splits, with all that is said of it", async () => {
    await writeShards(4);
    const packed = await pack("out");
    const [train, validation] = [await entriesOf("out/train"), await entriesOf("out/validation")];
    expect(packed.complete).toBe(true);
    expect([packed.train.pictures, packed.validation.pictures]).toEqual([train.length, validation.length]);
    expect([...names(train), ...names(validation)].sort()).toEqual(names(await entriesOf("in")));
    expect(validation.length).toBeGreaterThan(5);
    expect(validation.length).toBeLessThan(30);
    const [first] = validation;
    const number = Number.parseInt(first!.image, 10);
    expect(first!.captions.en).toEqual([`a "dog"\t${number}`, "two"]);
    expect(first!.fields).toMatchObject({ url: `http://x/${number}`, split: "validation" });
    const { problems } = await collectProblems("out");
    expect(problems).toEqual([]);
    const { splits } = inspectionJson(await inspectDataset({ input: join(folder, "out") }));
    expect(splits.train).toMatchObject(packed.train);
    expect(splits.validation).toMatchObject(packed.validation);
  });

  it("writes the original's lists, which say the same", async () => {
    await writeShards(2);
    await pack("out");
    for (const split of ["train", "validation"]) {
      const listed = await entriesOf(`out/${split}.tsv`);
      const shards = await entriesOf(`out/${split}`);
      const said = ({ image, captions }: DatasetEntry) => [
        image,
        Object.fromEntries(Object.entries(captions).map(([lang, texts]) => [lang.slice(0, 2), texts])),
      ];
      expect(listed.map(said)).toEqual(shards.map(said));
    }
    const [header] = (await readFile(join(folder, "out/train.tsv"), "utf8")).split("\n");
    expect(header).toBe("image_file\tcaption\turl\tlang_id");
  });

  it("takes a number of pictures, and only those that have all languages", async () => {
    await writeShards(4);
    const packed = await pack("out", { validation: { pictures: 13 }, languages: ["en", "de"] });
    expect(packed).toMatchObject({ validation: { pictures: 13 }, train: { pictures: 59 }, leftOut: 8 });
    for (const { captions } of await entriesOf("out/train"))
      expect(Object.keys(captions)).toEqual(["en", "de"]);
  });

  it("leaves pictures where they are when others are added", async () => {
    await writeShards(3);
    await pack("out", { validation: { pictures: 12 } });
    const before = {
      train: names(await entriesOf("out/train")),
      validation: names(await entriesOf("out/validation")),
    };
    await writeShard(3);
    await writeShard(4);
    const added = await pack("out", { validation: { pictures: 12 } });
    expect(added.train.pictures + added.validation.pictures).toBe(5 * SHARD);
    expect(names(await entriesOf("out/train"))).toEqual(expect.arrayContaining(before.train));
    expect(names(await entriesOf("out/validation"))).toEqual(expect.arrayContaining(before.validation));
    // In a new folder, the number is kept; no picture that was trained on is then for validation.
    await pack("anew", { validation: { pictures: 12 } });
    const anew = names(await entriesOf("anew/validation"));
    expect(anew).toHaveLength(12);
    expect(anew.filter((name) => before.train.includes(name))).toEqual([]);
  });

  it("is done by tasks in any order, two of which may be the same, to equal bytes", async () => {
    await writeShards(5);
    await pack("whole");
    const task = (taskIndex: number) => pack("parts", { task: { taskIndex, taskCount: 3 } });
    expect((await task(2)).complete).toBe(false);
    await Promise.all([task(0), task(0)]);
    const [one, other] = await Promise.all([task(1), task(1)]);
    expect([one.complete, other.complete]).toEqual([true, true]);
    expect(await contentOf("parts")).toEqual(await contentOf("whole"));
  });

  it("makes anew what has changed or is gone, and no more", async () => {
    await writeShards(3);
    await pack("out");
    await cp(join(folder, "out"), join(folder, "before"), { recursive: true });
    await rm(join(folder, "out/train/00001.tar"));
    await utimes(join(folder, "out/train/00000.tar"), 1, 1);
    await pack("out");
    expect(await contentOf("out")).toEqual(await contentOf("before"));
    await writeShard(2);
    await utimes(join(input, "00002.tar"), 1, 1);
    await pack("out");
    expect(await contentOf("out")).toEqual(await contentOf("before"));
  });

  it("refuses other options in the same folder, its own place, and what holds no shards", async () => {
    await writeShards(1);
    await pack("out");
    await expect(pack("out", { validation: { share: 0.3 } })).rejects.toThrow(/begun with validation/);
    await expect(pack("out", { input: join(folder, "out", "train") })).rejects.toThrow(/another --out/);
    await expect(pack("b", { input: join(folder, "none") })).rejects.toThrow(/found none/);
  });
});

async function collectProblems(out: string) {
  const problems: unknown[] = [];
  const task = { taskIndex: 0, taskCount: 1 };
  const { samples } = await checkDataset({
    input: join(folder, out),
    task,
    onProblem: (problem) => problems.push(problem),
  });
  return { samples, problems };
}

it("positions are even, and a picture's own", () => {
  const positions = Array.from({ length: 4000 }, (_, i) => positionOf({ image: `${i}`, fields: {} }));
  const below = positions.filter((position) => position < 0.1).length;
  expect(below).toBeGreaterThan(320);
  expect(below).toBeLessThan(480);
  const fields = { url: "http://x/1", sha256: "a" };
  expect(positionOf({ image: "other", fields })).toBe(positionOf({ image: "name", fields }));
});

it("Threshold leaves just so many below it", () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.double({ min: 0, max: 0.999, noNaN: true }), { minLength: 1 }),
      fc.nat(30),
      (all, most) => {
        const threshold = new Threshold(most);
        for (const position of all) threshold.add(position);
        expect(all.filter((position) => position < threshold.value).length).toBe(Math.min(most, all.length));
      },
    ),
  );
});

it("a row of the list reads as it was", () => {
  fc.assert(
    fc.property(fc.array(fc.string(), { minLength: 1 }), (fields) => {
      expect(quotedFields(tsvRow(fields).slice(0, -1))).toEqual(fields);
    }),
  );
});
