import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { LingolensError } from "../errors.js";
import { type DatasetEntry, readDataset } from "./dataset.js";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "lingolens-dataset-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function read(content: string | Uint8Array): Promise<DatasetEntry[]> {
  await writeFile(join(folder, "captions.jsonl"), content);
  const entries: DatasetEntry[] = [];
  for await (const entry of readDataset(folder)) entries.push(entry);
  return entries;
}

describe("readDataset", () => {
  it("gives pictures, captions as lists, and every other field", async () => {
    const entries = await read(
      '{"image":"images/1.png","captions":{"en":["a","b"],"de_DE":"ä"},"objects":[{"box":[1,2,3,4]}],"n":1}\r\n' +
        '\n{"image":"2.png","captions":{"ja":"日本"}}',
    );
    expect(entries).toEqual([
      {
        image: "images/1.png",
        imagePath: join(folder, "images", "1.png"),
        captions: { en: ["a", "b"], de_DE: ["ä"] },
        fields: { objects: [{ box: [1, 2, 3, 4] }], n: 1 },
      },
      { image: "2.png", imagePath: join(folder, "2.png"), captions: { ja: ["日本"] }, fields: {} },
    ]);
  });

  it("reads lines wherever the chunks of the file end", async () => {
    const lines = Array.from({ length: 4000 }, (_, i) => {
      return JSON.stringify({ image: `${i}.png`, captions: { fr: "é".repeat(i % 97) + i } });
    });
    const entries = await read(lines.join("\n"));
    expect(entries.map(({ captions }) => captions.fr![0])).toEqual(
      lines.map((line) => JSON.parse(line).captions.fr as string),
    );
  });

  const good = '{"image":"1.png","captions":{"en":"a"}}';
  it.each([
    ["no JSON", "image 1.png", /line 3.*JSON/],
    ["a cut line", good.slice(0, -4), /line 3.*JSON/],
    ["a list", "[]", /an object|a JSON object, got a list/],
    ["no image", '{"captions":{"en":"a"}}', /"image".*got nothing/],
    ["a numeric image", '{"image":7,"captions":{"en":"a"}}', /"image".*type number/],
    ["no captions", '{"image":"1.png"}', /"captions".*got nothing/],
    ["captions without a language", '{"image":"1.png","captions":{}}', /at least one language/],
    ["captions as a list", '{"image":"1.png","captions":["a"]}', /by language, got a list/],
    ["a numeric caption", '{"image":"1.png","captions":{"en":[1]}}', /language "en"/],
    ["an empty list of captions", '{"image":"1.png","captions":{"en":[]}}', /language "en"/],
    ["a blank caption", '{"image":"1.png","captions":{"en":" "}}', /language "en"/],
    ["a path upwards", '{"image":"../1.png","captions":{"en":"a"}}', /within the dataset's folder/],
    ["a path up and back", '{"image":"images/../../x/1.png","captions":{"en":"a"}}', /within/],
    ["an absolute path", '{"image":"/etc/hosts","captions":{"en":"a"}}', /within/],
    ["a Windows path", '{"image":"C:\\\\1.png","captions":{"en":"a"}}', /within/],
    ["a Windows path upwards", '{"image":"..\\\\1.png","captions":{"en":"a"}}', /within/],
    ["a zero byte", '{"image":"1.png\\u0000","captions":{"en":"a"}}', /within/],
    ["the folder itself", '{"image":".","captions":{"en":"a"}}', /within/],
  ])("refuses %s, with the line's number", async (_, line, message) => {
    const failure = read(`${good}\n\n${line}\n${good}\n`);
    await expect(failure).rejects.toMatchObject({ code: "dataset-invalid" });
    await expect(read(`${good}\n\n${line}\n${good}\n`)).rejects.toThrow(message);
    await expect(read(`${good}\n\n${line}\n${good}\n`)).rejects.toThrow("captions.jsonl, line 3: expected");
  });

  it("refuses bytes that are no UTF-8", async () => {
    const bytes = Buffer.from(`${good}\n${good}\n`);
    bytes[good.length + 12] = 0xff;
    await expect(read(bytes)).rejects.toThrow(/line 2: expected UTF-8/);
  });

  it("refuses a line that would fill the memory", async () => {
    await expect(read(`${good}\n${" ".repeat(5 * 2 ** 20)}`)).rejects.toThrow(
      /line 2: expected at most \d+ bytes/,
    );
  });

  it("refuses a folder without a list, and an empty list", async () => {
    await expect(readDataset(join(folder, "none")).next()).rejects.toMatchObject({ code: "file-not-found" });
    await expect(read("\n")).rejects.toMatchObject({ code: "dataset-invalid" });
  });

  it("either reads damaged files or fails with a typed error", async () => {
    const bytes = Buffer.from(`${good}\n${good}\n`);
    const damage = fc.record({ at: fc.nat(bytes.length - 1), to: fc.nat(255), cut: fc.nat(bytes.length) });
    await fc.assert(
      fc.asyncProperty(damage, async ({ at, to, cut }) => {
        const damaged = Buffer.from(bytes);
        damaged[at] = to;
        try {
          for (const { imagePath } of await read(damaged.subarray(0, cut))) {
            expect(imagePath.startsWith(folder)).toBe(true);
          }
        } catch (error) {
          expect(error).toBeInstanceOf(LingolensError);
          expect((error as LingolensError).code).toBe("dataset-invalid");
        }
      }),
      { numRuns: 300 },
    );
  });
});
