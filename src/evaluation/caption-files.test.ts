import { mkdtemp, open, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readCaptionPairs } from "./caption-files.js";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "lingolens-captions-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function file(name: string, content: string | Uint8Array): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, content);
  return path;
}

const failing = (message: RegExp, code = "dataset-invalid") =>
  expect.objectContaining({ code, message: expect.stringMatching(message) });

describe("text files", () => {
  it("pair line by line; an empty line of references is none, an empty caption one", async () => {
    const hypotheses = await file("h.txt", "\ufeffa dog\r\n\nun été\n");
    const first = await file("r0.txt", "a dog runs\na cat\nl'été\n");
    const second = await file("r1.txt", "\n two cats\n\n");
    expect(await readCaptionPairs(hypotheses, [first, second])).toEqual({
      hypotheses: ["a dog", "", "un été"],
      references: [["a dog runs"], ["a cat", " two cats"], ["l'été"]],
    });
  });

  it.each([
    ["fewer references", "a\nb\nc\n", "a\nb\n", /r\.txt, line 3: expected as many lines as in .*h\.txt/],
    ["fewer captions", "a\nb\n", "a\nb\nc\n", /h\.txt, line 3: expected as many lines as in .*r\.txt/],
    ["no reference", "a\nb\n", "a\n \n", /r\.txt, line 2: expected at least one reference, got none/],
    ["an empty file", "", "a\n", /h\.txt: expected a caption a line, got an empty file/],
    [
      "a long caption",
      `a\n${"b".repeat(70_000)}\n`,
      "a\nb\n",
      /h\.txt, line 2: expected a caption of at most 65536/,
    ],
  ])("are refused with %s", async (_, hypotheses, references, message) => {
    const files = [await file("h.txt", hypotheses), await file("r.txt", references)] as const;
    await expect(readCaptionPairs(files[0], [files[1]])).rejects.toEqual(failing(message));
  });

  it.each([
    ["Latin-1", Buffer.from("a dog\nl'été\n", "latin1"), /h\.txt, line 2: expected UTF-8 text/],
    ["UTF-16", Buffer.from("\ufeffa dog\n", "utf16le"), /h\.txt, line 1: expected UTF-8 text/],
  ])("are refused in %s", async (_, bytes, message) => {
    const hypotheses = await file("h.txt", bytes);
    const references = await file("r.txt", "a\nb\n");
    await expect(readCaptionPairs(hypotheses, [references])).rejects.toEqual(failing(message));
  });

  it("are refused with a line of 100 MB, without reading it whole", async () => {
    const path = await file("h.txt", "a dog\n");
    const handle = await open(path, "a");
    const before = process.memoryUsage().rss;
    await handle.truncate(100 * 2 ** 20);
    await handle.close();
    const references = await file("r.txt", "a\nb\n");
    await expect(readCaptionPairs(path, [references])).rejects.toEqual(
      failing(/h\.txt, line 2: expected at most \d+ bytes in a line/),
    );
    expect(process.memoryUsage().rss - before).toBeLessThan(60 * 2 ** 20);
  });

  it("are refused where they are missing, or mixed with JSON", async () => {
    const text = await file("t.txt", "a\n");
    const json = await file("j.json", "[]");
    await expect(readCaptionPairs(join(folder, "none.txt"), [text])).rejects.toEqual(
      failing(/none\.txt/, "file-not-found"),
    );
    await expect(readCaptionPairs(text, [json])).rejects.toEqual(
      failing(/j\.json is JSON/, "option-unsupported"),
    );
  });
});

describe("COCO's JSON", () => {
  const annotations = JSON.stringify({
    images: [],
    annotations: [
      { image_id: 7, id: 1, caption: "a dog" },
      { image_id: 9, id: 2, caption: "a cat" },
      { image_id: 7, id: 3, caption: "dogs" },
    ],
  });

  it("pairs by picture, in the order of the captions", async () => {
    const results = await file(
      "results.json",
      '[{"image_id":9,"caption":"cat"},{"image_id":7,"caption":"dog"}]',
    );
    expect(await readCaptionPairs(results, [await file("annotations.json", annotations)])).toEqual({
      hypotheses: ["cat", "dog"],
      references: [["a cat"], ["a dog", "dogs"]],
    });
  });

  it.each([
    ["no reference", '[{"image_id":8,"caption":"cat"}]', /entry 1: expected a reference of image 8/],
    [
      "two captions",
      '[{"image_id":7,"caption":"a"},{"image_id":7,"caption":"b"}]',
      /entry 2: expected one caption a picture/,
    ],
    ["no captions", "[]", /results\.json: expected at least one caption/],
    ["other JSON", '{"a":1}', /results\.json: expected COCO's captions/],
    ["no JSON", '[{"image_id":', /results\.json: expected JSON in UTF-8/],
  ])("is refused with %s", async (_, results, message) => {
    const files = [await file("results.json", results), await file("annotations.json", annotations)] as const;
    await expect(readCaptionPairs(files[0], [files[1]])).rejects.toEqual(failing(message));
  });
});
