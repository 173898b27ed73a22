import { mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { brotliDecompressSync } from "node:zlib";
import { afterAll, beforeAll, expect, it } from "vitest";
import { temporaryFolder } from "../../test/support/tiny-captioner.js";
import { StaticFiles } from "./static-files.js";

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let files: StaticFiles;
beforeAll(async () => {
  folder = await temporaryFolder();
  await mkdir(join(folder.path, "web/assets"), { recursive: true });
  await writeFile(join(folder.path, "secret.txt"), "secret");
  await writeFile(join(folder.path, "web/index.html"), "<p>page</p>");
  await writeFile(join(folder.path, "web/assets/app-1a2b.js"), "let a = 1;\n".repeat(1000));
  await symlink(join(folder.path, "secret.txt"), join(folder.path, "web/link.txt"));
  files = (await StaticFiles.of(join(folder.path, "web")))!;
});
afterAll(() => folder.remove());

const text = (bytes: Uint8Array) => Buffer.from(bytes).toString();

it("are the files of the folder, the page at its root", async () => {
  const index = (await files.get("/"))!;
  expect([text(index.body), index.headers["content-type"], index.headers["cache-control"]]).toEqual([
    "<p>page</p>",
    "text/html; charset=utf-8",
    "no-cache",
  ]);
  const script = (await files.get("/assets/app-1a2b.js"))!;
  expect(script.headers["cache-control"]).toContain("immutable");
});

it("are compressed for who can read that", async () => {
  const script = (await files.get("/assets/app-1a2b.js", "gzip, br"))!;
  expect(script.headers["content-encoding"]).toBe("br");
  expect(script.body.length).toBeLessThan(100);
  expect(text(brotliDecompressSync(script.body))).toBe("let a = 1;\n".repeat(1000));
});

it("are nothing else", async () => {
  for (const path of [
    "/../secret.txt",
    "/assets/../../secret.txt",
    "//secret.txt",
    "/link.txt",
    "/assets",
    "/assets/",
    "",
    "/index.html/",
  ])
    expect(await files.get(path), path).toBeUndefined();
  expect(await StaticFiles.of(join(folder.path, "web/assets"))).toBeUndefined();
  expect(await StaticFiles.of(join(folder.path, "none"))).toBeUndefined();
});
