import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { removeLeftovers, writeFileAtomically, writeFolderAtomically } from "./atomic-file.js";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "lingolens-atomic-"));
});
afterEach(() => rm(folder, { recursive: true }));

describe("writeFileAtomically", () => {
  it("replaces a file only once all is written", async () => {
    const path = join(folder, "a.bin");
    await writeFile(path, "old");
    await writeFileAtomically(path, async (file) => {
      await file.write("new");
      expect(await readFile(path, "utf8")).toBe("old");
    });
    expect(await readFile(path, "utf8")).toBe("new");
    expect(await readdir(folder)).toEqual(["a.bin"]);
  });

  it("leaves the old file and nothing else where writing fails", async () => {
    const path = join(folder, "a.bin");
    await writeFile(path, "old");
    const failing = writeFileAtomically(path, async (file) => {
      await file.write("half");
      throw new Error("disk full");
    });
    await expect(failing).rejects.toThrow("disk full");
    expect(await readFile(path, "utf8")).toBe("old");
    expect(await readdir(folder)).toEqual(["a.bin"]);
  });
});

describe("writeFolderAtomically", () => {
  it("makes the folder, its parents and its files at once", async () => {
    const path = join(folder, "runs", "final");
    await writeFolderAtomically(path, async (aside) => {
      await mkdir(join(aside, "inner"));
      await writeFile(join(aside, "inner", "b.txt"), "b");
      expect(await readdir(join(folder, "runs"))).not.toContain("final");
    });
    expect(await readFile(join(path, "inner", "b.txt"), "utf8")).toBe("b");
    expect(await readdir(join(folder, "runs"))).toEqual(["final"]);
  });

  it("takes an empty folder's place, and never that of a full one or of a file", async () => {
    const fill = (aside: string) => writeFile(join(aside, "new.txt"), "");
    await mkdir(join(folder, "empty"));
    await writeFolderAtomically(join(folder, "empty"), fill);
    expect(await readdir(join(folder, "empty"))).toEqual(["new.txt"]);

    await mkdir(join(folder, "full"));
    await writeFile(join(folder, "full", "mine.txt"), "");
    await writeFile(join(folder, "file"), "");
    for (const name of ["full", "file"]) {
      await expect(writeFolderAtomically(join(folder, name), fill)).rejects.toMatchObject({
        code: "already-exists",
      });
    }
    expect(await readdir(join(folder, "full"))).toEqual(["mine.txt"]);
    expect((await readdir(folder)).sort()).toEqual(["empty", "file", "full"]);
  });

  it("leaves nothing where filling fails", async () => {
    const failing = writeFolderAtomically(join(folder, "out"), async (aside) => {
      await writeFile(join(aside, "half.bin"), "");
      throw new Error("disk full");
    });
    await expect(failing).rejects.toThrow("disk full");
    expect(await readdir(folder)).toEqual([]);
  });
});

describe("removeLeftovers", () => {
  it("removes what a killed process was writing, and nothing else", async () => {
    await writeFile(join(folder, "kept.bin"), "");
    await writeFile(join(folder, ".tmp-notes"), "");
    // Not moved into place, as if killed before.
    const writing = writeFolderAtomically(join(folder, "out"), async (aside) => {
      await writeFile(join(aside, "half.bin"), "");
      const [name] = (await readdir(folder)).filter((entry) => entry.includes("-out-"));
      expect(join(folder, name!)).toBe(aside);
      await removeLeftovers(folder);
    });
    await expect(writing).rejects.toMatchObject({ code: "ENOENT" });
    expect((await readdir(folder)).sort()).toEqual([".tmp-notes", "kept.bin"]);
  });
});
