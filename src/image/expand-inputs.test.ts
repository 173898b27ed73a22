import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { expandInputs } from "./expand-inputs.js";

let root: string;
const cwd = process.cwd();

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "lingolens-inputs-"));
  for (const folder of ["pics/deep/deeper", "empty", ".hidden"])
    mkdirSync(join(root, folder), { recursive: true });
  const files = ["b.jpg", "a.PNG", "c10.jpg", "c2.jpg", "notes.txt", ".secret.jpg", "odd[1].jpg"].map(
    (f) => `pics/${f}`,
  );
  for (const file of [...files, "pics/deep/d.webp", "pics/deep/deeper/e.jpg", ".hidden/f.jpg", "top.jpg"]) {
    writeFileSync(join(root, file), file);
  }
  symlinkSync(join(root, "top.jpg"), join(root, "pics/link.jpg"));
  symlinkSync(root, join(root, "pics/deep/loop"));
  process.chdir(root);
});

afterAll(() => {
  process.chdir(cwd);
  rmSync(root, { recursive: true });
});

async function* bytesOf(...chunks: string[]): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) yield Buffer.from(chunk);
}

/** Names, or the code of an error. */
async function expand(...inputs: string[]): Promise<string[]> {
  const out: string[] = [];
  for await (const input of expandInputs(inputs, bytesOf())) {
    out.push("error" in input ? `${input.name}: ${input.error.code}` : input.name);
    if (!("error" in input) && input.name !== "-") expect(input.source).toBe(input.name);
  }
  return out;
}

describe("expandInputs", () => {
  it("keeps files and URLs as they are, in order", async () => {
    const inputs = ["top.jpg", "https://example.com/a?b=*", "pics/b.jpg", "missing.jpg", "top.jpg"];
    expect(await expand(...inputs)).toEqual(inputs);
  });

  it("takes the pictures right in a folder, by name", async () => {
    const names = ["a.PNG", "b.jpg", "c10.jpg", "c2.jpg", "link.jpg", "odd[1].jpg"];
    expect(await expand("pics")).toEqual(names.map((name) => `pics/${name}`));
    expect(await expand(join(root, "pics/"))).toEqual(names.map((name) => join(root, "pics", name)));
  });

  it.each([
    ["pics/*.jpg", ["pics/b.jpg", "pics/c10.jpg", "pics/c2.jpg", "pics/link.jpg", "pics/odd[1].jpg"]],
    ["./pics/c?.jpg", ["./pics/c2.jpg"]],
    ["pics/[a-b].*", ["pics/a.PNG", "pics/b.jpg"]],
    ["pics/[!a-b]2.jpg", ["pics/c2.jpg"]],
    ["p*/d*/*.webp", ["pics/deep/d.webp"]],
    ["**/*.webp", ["pics/deep/d.webp"]],
    ["pics/**/[de].*", ["pics/deep/d.webp", "pics/deep/deeper/e.jpg"]],
    ["pics/deep/**", ["pics/deep/d.webp", "pics/deep/deeper/e.jpg"]],
    ["pics/.s*", ["pics/.secret.jpg"]],
    [".h*/*.jpg", [".hidden/f.jpg"]],
    ["pics/odd[1].jpg", ["pics/odd[1].jpg"]],
  ])("matches %s", async (pattern, names) => {
    expect(await expand(pattern)).toEqual(names);
  });

  it("matches absolute patterns", async () => {
    expect(await expand(join(root, "*.jpg"))).toEqual([join(root, "top.jpg")]);
  });

  it("reports an input that matches nothing in its place, and goes on", async () => {
    expect(await expand("empty", "top.jpg", "none/*.jpg", "[z-a]*", "pics/a.PNG")).toEqual([
      "empty: file-not-found",
      "top.jpg",
      "none/*.jpg: file-not-found",
      "[z-a]*: file-not-found",
      "pics/a.PNG",
    ]);
  });

  it("reads standard input", async () => {
    const inputs = [];
    for await (const input of expandInputs(["-"], bytesOf("pic", "ture"))) inputs.push(input);
    expect(inputs).toEqual([{ name: "-", source: Buffer.from("picture") }]);
  });
});
