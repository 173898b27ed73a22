import { createWriteStream } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { pack } from "tar-stream";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { temporaryFolder } from "../../test/support/tiny-captioner.js";
import { writeScenes } from "../data/scenes/write.js";
import { clipPreprocessorConfig } from "../image/preprocessor-config.js";
import { loadTokenizerFolder } from "../text/tokenizer-folder.js";
import { bundledModelFolder } from "../weights/bundled-model.js";
import type { CaptionedPicture } from "./batch.js";
import { type DatasetDataOptions, datasetData } from "./dataset-data.js";
import { createSamplePool, type SamplePool } from "./sample-pool.js";

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let pool: SamplePool;
let scenes: string;
let lines: { image: string; captions: Record<string, string[]> }[];
const warnings: string[] = [];

beforeAll(async () => {
  folder = await temporaryFolder();
  scenes = join(folder.path, "scenes");
  await writeScenes({ out: scenes, count: 50, seed: 1, split: "train", size: 32, languages: ["en", "de"] });
  const text = await readFile(join(scenes, "captions.jsonl"), "utf8");
  lines = text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  const names = ["sentencepiece.bpe.model", "tokenizer_config.json"];
  const files = names.map(async (name) => [name, await readFile(join(bundledModelFolder, name))] as const);
  const tokenizerFiles = new Map(await Promise.all(files));
  pool = createSamplePool({ tokenizerFiles, preprocessor: clipPreprocessorConfig(32) });
});
afterAll(async () => {
  await pool.close();
  await folder.remove();
});

function open(options: Partial<DatasetDataOptions> = {}) {
  warnings.length = 0;
  return datasetData({
    path: scenes,
    languages: ["en", "de"],
    languageWeights: {},
    randomCrop: 1,
    randomMirror: 0,
    person: "keep",
    skipLimit: 0.01,
    seed: 1,
    batchSize: 8,
    evaluateCount: 100,
    pool,
    onWarning: (message) => warnings.push(message),
    ...options,
  });
}

/** A dataset of these lines, beside the pictures of the scenes. */
async function list(name: string, entries: readonly object[]): Promise<string> {
  const path = join(scenes, name);
  await writeFile(path, entries.map((entry) => JSON.stringify(entry)).join("\n"));
  return path;
}

const pixels = (pictures: readonly CaptionedPicture[]) =>
  pictures.map(({ pixelValues }) => pixelValues.join());

describe("datasetData", () => {
  it("says a person instead of a masked name, or nothing, in each caption's language", async () => {
    const masked = { image: lines[0]!.image, captions: { en: "<PERSON>", de: "ein Kreis von <PERSON>" } };
    const plain = (en: string, de: string) => ({ image: lines[0]!.image, captions: { en, de } });
    const learnt = async (entry: object, person: "keep" | "word") => {
      const path = await list(`person-${person}-${JSON.stringify(entry).length}.jsonl`, [entry]);
      return (await open({ path, person, batchSize: 1, evaluateCount: 0 })).batch(0);
    };
    const [said] = await learnt(masked, "word");
    const [written] = await learnt(plain("A person", "ein Kreis von einer Person"), "keep");
    expect(said!.captions).toEqual(written!.captions);
    const path = await list("person-drop.jsonl", [masked]);
    const [dropped] = await (await open({ path, person: "drop", batchSize: 1, evaluateCount: 0 })).batch(0);
    expect(dropped!.captions[0]).toEqual([]);
    await expect(open({ person: "word", languages: ["en", "fi"] })).rejects.toThrow(/got "fi"/);
  });

  it("gives a step the same pictures and captions every time, and every step others", async () => {
    const data = await open();
    expect(data.validationCount).toBe(5);
    const steps = await Promise.all([0, 1, 2].map((step) => data.batch(step)));
    expect(await (await open()).batch(2)).toEqual(steps[2]);
    expect(await (await open({ seed: 2 })).batch(2)).not.toEqual(steps[2]);
    // 45 pictures are five batches an epoch: none of them is seen twice in three steps.
    expect(new Set(steps.flatMap(pixels)).size).toBe(24);
  });

  it("keeps the last pictures for evaluation, their captions in the order of the languages", async () => {
    const data = await open({ languages: ["de", "fr", "en"] });
    const [picture] = await data.validation(4, 5);
    const tokenizer = await loadTokenizerFolder(bundledModelFolder);
    const { captions } = lines.at(-1)!;
    expect(picture!.captions).toEqual([
      tokenizer.encode(captions.de![0]!, "de"),
      [],
      tokenizer.encode(captions.en![0]!, "en"),
    ]);
    const training = await Promise.all([0, 1, 2, 3, 4].map((step) => data.batch(step)));
    expect(training.flatMap(pixels)).not.toContain(picture!.pixelValues.join());
  });

  it("evaluates on another split, or another dataset", async () => {
    const path = await list(
      "splits.jsonl",
      lines.map((line, i) => ({ ...line, split: i < 30 ? "train" : "val" })),
    );
    const data = await open({ path, split: "train", validationSplit: "val", evaluateCount: 12 });
    expect(data.validationCount).toBe(12);
    expect((await data.validation(0, 1))[0]!.pixelValues).toEqual(
      (await (await open({ validation: path, validationSplit: "val" })).validation(0, 1))[0]!.pixelValues,
    );
    await expect(open({ path, split: "test" })).rejects.toMatchObject({
      code: "dataset-invalid",
      message: expect.stringContaining('"train", "val"'),
    });
  });

  it("learns from shards what it learns from the folder they were made of", async () => {
    const shard = join(folder.path, "0.tar");
    const archive = pack();
    const written = pipeline(archive, createWriteStream(shard));
    for (const [i, { image, captions }] of lines.entries()) {
      archive.entry({ name: `${i}.png` }, await readFile(join(scenes, image)));
      archive.entry({ name: `${i}.json` }, JSON.stringify({ captions }));
    }
    archive.finalize();
    await written;
    const [fromShard, fromFolder] = [await open({ path: shard }), await open()];
    for (const step of [0, 7]) expect(await fromShard.batch(step)).toEqual(await fromFolder.batch(step));
  });

  it("learns a picture's languages by their weights", async () => {
    const data = await open({ languageWeights: { en: 0.5, de: 0.5 } });
    const captions = (await data.batch(0)).map((picture) => picture.captions.length);
    expect(captions).toEqual(Array(8).fill(1));
    await expect(open({ languageWeights: { fr: 0.5 } })).rejects.toMatchObject({ code: "config-invalid" });
  });

  it("varies pictures by step and place, the same way every time", async () => {
    const plain = await (await open()).batch(3);
    const varied = await (await open({ randomCrop: 0.3, randomMirror: 0.5 })).batch(3);
    expect(varied).toEqual(await (await open({ randomCrop: 0.3, randomMirror: 0.5 })).batch(3));
    expect(pixels(varied)).not.toEqual(pixels(plain));
    expect(varied.map(({ captions }) => captions)).toEqual(plain.map(({ captions }) => captions));
    const mirrored = await (await open({ randomMirror: 1 })).batch(3);
    mirrored.forEach(({ pixelValues }, i) => {
      for (let row = 0; row < 96; row++) {
        const own = pixelValues.subarray(row * 32, (row + 1) * 32);
        expect([...own].reverse()).toEqual([...plain[i]!.pixelValues.subarray(row * 32, (row + 1) * 32)]);
      }
    });
  });

  it("skips a picture that cannot be read: another stands in, and it is named once", async () => {
    const path = await list("bad.jsonl", [{ ...lines[0], image: "captions.jsonl" }, ...lines.slice(1)]);
    const data = await open({ path });
    for (let step = 0; step < 15; step++) {
      const batch = await data.batch(step);
      expect(new Set(pixels(batch)).size).toBe(8);
    }
    expect(warnings).toEqual([
      expect.stringMatching(/^skipped captions\.jsonl, 1 of \d+ so far: .*captions\.jsonl/),
    ]);
  });

  it("stops when too many are bad, with the last one's name and code", async () => {
    const path = await list(
      "missing.jsonl",
      lines.map((line) => ({ ...line, image: `no-${line.image}` })),
    );
    const reason = {
      code: "file-not-found",
      message: expect.stringMatching(/^11 of \d+ pictures .*skipLimit.*no-/),
    };
    await expect((await open({ path })).batch(0)).rejects.toMatchObject(reason);
    // Where all may be skipped, there is nothing left to learn from.
    await expect((await open({ path, skipLimit: 1 })).batch(0)).rejects.toMatchObject({
      code: "dataset-invalid",
    });
    expect(await (await open({ path, skipLimit: 1 })).validation(0, 5)).toEqual([]);
  });

  it("refuses a dataset without captions in its languages, and bad lines before training begins", async () => {
    await expect(open({ languages: ["ja"] })).rejects.toMatchObject({ code: "dataset-invalid" });
    const path = await list("cut.jsonl", [...lines, { image: "1.png" }]);
    await expect(open({ path })).rejects.toMatchObject({
      code: "dataset-invalid",
      message: expect.stringContaining("line 51"),
    });
  });
});
