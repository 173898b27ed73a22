import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { temporaryFolder } from "../../test/support/tiny-captioner.js";
import { corpusTexts } from "./corpus.js";

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
beforeAll(async () => {
  folder = await temporaryFolder();
  await mkdir(join(folder.path, "pictures"));
  await writeFile(
    join(folder.path, "pictures/captions.jsonl"),
    '{"image":"a.png","captions":{"en":["one","two"],"de_DE":"eins","fr":"un"}}\n',
  );
  await writeFile(join(folder.path, "lines.txt"), "first\r\n\n  \nsecond");
});
afterAll(() => folder.remove());

async function texts(names: readonly string[], languages: readonly string[]): Promise<string[]> {
  const all: string[] = [];
  const paths = names.map((name) => join(folder.path, name));
  for await (const text of corpusTexts(paths, languages)) all.push(text);
  return all;
}

it("gives lines of text and captions in the languages asked for, in order", async () => {
  expect(await texts(["lines.txt", "pictures"], ["de_DE", "en_XX"])).toEqual([
    "first",
    "second",
    "eins",
    "one",
    "two",
  ]);
  expect(await texts(["pictures/captions.jsonl"], ["fr_XX"])).toEqual(["un"]);
});

it("names what is not there", async () => {
  await expect(texts(["lines.txt", "missing.txt"], ["en_XX"])).rejects.toMatchObject({
    code: "file-not-found",
    message: expect.stringContaining("missing.txt"),
  });
});
