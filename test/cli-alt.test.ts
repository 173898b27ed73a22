import { chmod, copyFile, mkdir, readFile, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { applyPatch, parsePatch } from "diff";
import { afterAll, beforeEach, describe, expect, it } from "vitest";
import { examplePictures } from "../src/weights/bundled-model.js";
import { failures, jsonLines, output, run } from "./support/command-line.js";
import { temporaryFolder } from "./support/tiny-captioner.js";

const PAGES = {
  "site/index.html":
    '<!doctype html>\n<html lang="de">\n<img src="/img/scene-1.png">\n<img src="img/scene-2.png" alt="">\n</html>\n',
  "site/post/index.md": "---\nlang: fr\n---\r\n\r\n![IMG_1234](../img/scene-3.png)\r\nno line end",
};
const folders: { remove(): Promise<void> }[] = [];
let cwd: string;
beforeEach(async () => {
  const folder = await temporaryFolder();
  folders.push(folder);
  cwd = folder.path;
  await mkdir(join(cwd, "site/img"), { recursive: true });
  await mkdir(join(cwd, "site/post"));
  for (const n of [1, 2, 3]) await copyFile(examplePictures[n - 1]!, join(cwd, `site/img/scene-${n}.png`));
  for (const [name, text] of Object.entries(PAGES)) await writeFile(join(cwd, name), text);
});
afterAll(() => Promise.all(folders.map((folder) => folder.remove())));

const read = (name: string) => readFile(join(cwd, name), "utf8");
const german = "ein blauer Kreis rechts von einem großen orangefarbenen Stern";

describe("lingolens alt", () => {
  it("reports texts in the pages' languages, and changes nothing", async () => {
    const { code, stdout, stderr } = await run(["alt", "site"], { cwd });
    expect(code).toBe(0);
    expect(stdout).toContain(`site/index.html\n  3: /img/scene-1.png has no text\n    de: ${german}\n`);
    expect(stdout).toMatch(
      /site\/post\/index\.md\n {2}5: \.\.\/img\/scene-3\.png has "IMG_1234"\n {4}fr: (?:un|une) \S+/,
    );
    expect(stdout).not.toContain("scene-2");
    expect(stderr).toContain(
      "2 pages: 2 pictures lack a text; 2 texts proposed. Read them before you publish.",
    );
    for (const [name, text] of Object.entries(PAGES)) expect(await read(name)).toBe(text);
  });

  it("--json is a line per picture", async () => {
    const lines = jsonLines(await output(["alt", "site", "--json", "--lang", "de"], { cwd }));
    expect(lines).toEqual([
      {
        file: "site/index.html",
        line: 3,
        src: "/img/scene-1.png",
        lack: "missing",
        lang: "de_DE",
        proposed: german,
      },
      {
        file: "site/post/index.md",
        line: 5,
        src: "../img/scene-3.png",
        lack: "poor",
        alt: "IMG_1234",
        lang: "de_DE",
        proposed: expect.any(String),
      },
    ]);
  });

  it("--write changes the texts and no other byte, once; the patch does the same", async () => {
    const patches = parsePatch(await output(["alt", "site", "--format", "patch"], { cwd }));
    expect(patches.map(({ oldFileName, newFileName }) => [oldFileName, newFileName])).toEqual(
      Object.keys(PAGES).map((name) => [`a/${name}`, `b/${name}`]),
    );
    await chmod(join(cwd, "site/index.html"), 0o640);
    await symlink("index.html", join(cwd, "site/linked.html"));
    await output(["alt", "site/linked.html", "site/post", "--root", "site", "--write"], { cwd });
    expect(await read("site/index.html")).toBe(
      PAGES["site/index.html"].replace('<img src="/', `<img alt="${german}" src="/`),
    );
    expect((await stat(join(cwd, "site/index.html"))).mode & 0o777).toBe(0o640);
    const post = await read("site/post/index.md");
    expect(post.replace(/!\[[^\]]+\]/, "![IMG_1234]")).toBe(PAGES["site/post/index.md"]);
    for (const patch of patches) {
      const name = patch.oldFileName!.slice(2) as keyof typeof PAGES;
      expect(applyPatch(PAGES[name], patch, { autoConvertLineEndings: false })).toBe(await read(name));
    }
    const before = (await stat(join(cwd, "site/post/index.md"))).mtimeMs;
    const again = await run(["alt", "site", "--write"], { cwd });
    expect([again.code, again.stdout]).toEqual([0, ""]);
    expect(again.stderr).toContain("0 pictures lack a text");
    expect((await stat(join(cwd, "site/post/index.md"))).mtimeMs).toBe(before);
  });

  it("names what failed, does the rest, and exits with 1", async () => {
    await writeFile(
      join(cwd, "site/a.html"),
      '<img src="nothing.png"><img src="https://example.org/a.png"><img src="img/scene-1.png">',
    );
    await writeFile(join(cwd, "site/b.mdx"), "<img src={ />");
    const { code, stderr } = await run(["alt", "site", "--write"], { cwd });
    expect(code).toBe(1);
    expect(failures(stderr)).toEqual([
      expect.stringMatching(/site\/a\.html:1: nothing\.png: .* \(file-not-found\)$/),
      expect.stringMatching(
        /site\/a\.html:1: https:\/\/example\.org\/a\.png: .*--remote.* \(fetch-failed\)$/,
      ),
      expect.stringMatching(/site\/b\.mdx: .* \(unsupported-format\)$/),
    ]);
    expect(await read("site/a.html")).toMatch(/<img src="nothing\.png">.*<img alt="[^"]+" src="img/);
  });

  it("fetches pictures of other servers where told, and none of private addresses", async () => {
    await writeFile(join(cwd, "site/a.html"), '<img src="http://127.0.0.1:9/a.png">');
    const { code, stderr } = await run(["alt", "site/a.html", "--remote"], { cwd });
    expect(code).toBe(1);
    expect(failures(stderr)[0]).toMatch(/not on the public Internet/);
  });

  it("refuses wrong use", async () => {
    expect((await run(["alt", "nothing"], { cwd })).code).toBe(1);
    for (const args of [
      ["site", "--json", "--format", "patch"],
      ["site", "--lang", "xx"],
      ["site", "--allow-private"],
    ])
      expect((await run(["alt", ...args], { cwd })).code).toBe(2);
  });
});
