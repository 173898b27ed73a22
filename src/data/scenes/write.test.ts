import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type DatasetEntry, readDataset } from "../dataset.js";
import { sceneCaption } from "./caption.js";
import { renderScene } from "./render.js";
import { sceneAt } from "./scene.js";
import { writeScenes } from "./write.js";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "lingolens-scenes-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function bytesOf(out: string): Promise<Record<string, string>> {
  const names = await readdir(out, { recursive: true, withFileTypes: true });
  const files = names.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const contents = await Promise.all(files.map(async (file) => (await readFile(file)).toString("base64")));
  return Object.fromEntries(files.map((file, i) => [file.slice(out.length), contents[i]!]));
}

async function entriesOf(out: string): Promise<DatasetEntry[]> {
  const entries: DatasetEntry[] = [];
  for await (const entry of readDataset(out)) entries.push(entry);
  return entries;
}

describe("writeScenes", () => {
  it("writes a dataset whose lines and pictures are the scenes'", async () => {
    const progress: number[] = [];
    const onProgress = ({ done, total }: { done: number; total: number }) => progress.push(done / total);
    await writeScenes({
      count: 20,
      seed: 4,
      split: "test",
      out: folder,
      languages: ["it", "pt"],
      onProgress,
    });
    expect(progress).toEqual([0.8, 1]);
    const entries = await entriesOf(folder);
    expect(entries).toHaveLength(20);
    for (const [index, entry] of entries.entries()) {
      const scene = sceneAt({ split: "test", seed: 4, index });
      const { data, info } = await sharp(entry.imagePath).raw().toBuffer({ resolveWithObject: true });
      expect([info.width, info.height, info.channels]).toEqual([96, 96, 3]);
      expect(data.equals(renderScene(scene).data)).toBe(true);
      expect(entry.captions).toEqual({
        it: [sceneCaption(scene, "it").text],
        pt: [sceneCaption(scene, "pt").text],
      });
      expect(entry.fields.mentions).toMatchObject({ it: sceneCaption(scene, "it").mentions });
      expect(entry.fields.objects).toEqual(
        scene.objects.map(({ kind, colour, size, box }) => ({ kind, colour, size, box })),
      );
      expect(entry.fields.relations).toContainEqual({ subject: 0, relation: scene.relation, object: 1 });
    }
  });

  it("writes the same bytes again, and only adds what a larger count adds", async () => {
    const options = { seed: 1, split: "train", out: folder } as const;
    await writeScenes({ ...options, count: 3 });
    const first = await bytesOf(folder);
    expect(Object.keys(first).sort()).toEqual(
      ["/captions.jsonl", "/images/000001.png", "/images/000002.png", "/images/000003.png"].map((name) =>
        join(name),
      ),
    );
    await writeScenes({ ...options, count: 3 });
    expect(await bytesOf(folder)).toEqual(first);
    await writeScenes({ ...options, count: 5 });
    expect(await bytesOf(folder)).toMatchObject({ ...first, [join("/captions.jsonl")]: expect.any(String) });
    expect(await entriesOf(folder)).toHaveLength(5);
  });

  it("leaves another dataset alone", async () => {
    const line = '{"image":"images/000001.png","captions":{"en":"mine"}}\n';
    await writeFile(join(folder, "captions.jsonl"), line);
    await expect(writeScenes({ count: 1, seed: 1, split: "train", out: folder })).rejects.toMatchObject({
      code: "already-exists",
    });
    expect(await bytesOf(folder)).toEqual({
      [join("/captions.jsonl")]: Buffer.from(line).toString("base64"),
    });
  });

  it("stops when cancelled, with no lines written", async () => {
    const controller = new AbortController();
    const run = writeScenes({
      count: 100,
      seed: 1,
      split: "train",
      out: folder,
      signal: controller.signal,
      onProgress: () => controller.abort(),
    });
    await expect(run).rejects.toMatchObject({ code: "cancelled" });
    expect(await readdir(folder)).toEqual(["images"]);
    expect(await readdir(join(folder, "images"))).toHaveLength(16);
  });

  it.each([
    [{ count: 0 }, "option-unsupported"],
    [{ count: 1.5 }, "option-unsupported"],
    [{ languages: [] }, "option-unsupported"],
    [{ languages: ["en", "xx"] }, "unknown-language"],
    [{ size: 0 }, "option-unsupported"],
  ])("refuses %o before anything is written", async (wrong, code) => {
    const options = { count: 1, seed: 1, split: "train" as const, out: folder, ...wrong };
    await expect(writeScenes(options)).rejects.toMatchObject({ code });
    expect(await readdir(folder)).toEqual([]);
  });
});
