import { lstat, mkdir, readFile, readlink, rm, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { temporaryFolder } from "../../../test/support/tiny-captioner.js";
import { CachedRepository, hubCacheFolder, linkFile } from "./cache.js";

let temporary: Awaited<ReturnType<typeof temporaryFolder>>;
beforeEach(async () => {
  temporary = await temporaryFolder();
});
afterEach(() => temporary.remove());

it.each([
  [{}, join(homedir(), ".cache/huggingface/hub")],
  [{ XDG_CACHE_HOME: "/x" }, "/x/huggingface/hub"],
  [{ XDG_CACHE_HOME: "/x", HF_HOME: "/h" }, "/h/hub"],
  [{ HF_HOME: "~/h" }, join(homedir(), "h/hub")],
  [{ HF_HOME: "/h", HUGGINGFACE_HUB_CACHE: "/old" }, "/old"],
  [{ HF_HOME: "/h", HUGGINGFACE_HUB_CACHE: "/old", HF_HUB_CACHE: "/c" }, "/c"],
  [{ HF_HUB_CACHE: "", HF_HOME: "/h" }, "/h/hub"],
])("finds Python's cache by %j", (environment, expected) => {
  expect(hubCacheFolder(environment)).toBe(expected);
});

it("remembers commits of branches, takes commits as they are, and believes no damaged ref", async () => {
  const cache = new CachedRepository("a/b", temporary.path);
  const commit = "0123456789".repeat(4);
  const branch = { name: "a/b", revision: "refs/pr/3" };
  expect(await cache.commit(branch)).toBeUndefined();
  await cache.recordCommit(branch, commit);
  expect(await cache.commit(branch)).toBe(commit);
  expect(await readFile(join(temporary.path, "models--a--b/refs/refs/pr/3"), "utf8")).toBe(commit);
  expect(await cache.commit({ name: "a/b", revision: commit })).toBe(commit);
  await writeFile(join(cache.folder, "refs/refs/pr/3"), "../../../elsewhere");
  expect(await cache.commit(branch)).toBeUndefined();
});

it("links blobs relatively, as the cache may move, and leaves what is there", async () => {
  const cache = new CachedRepository("a/b", temporary.path);
  await mkdir(join(cache.folder, "blobs"), { recursive: true });
  await writeFile(cache.blob("d1"), "content");
  await cache.link("d1", "c1", "config.json");
  await cache.link("d1", "c1", "config.json");
  const path = join(cache.snapshot("c1"), "config.json");
  expect(await readlink(path)).toBe("../../blobs/d1");
  expect(await readFile(path, "utf8")).toBe("content");
});

it("links hard or copies where symbolic links are not allowed", async () => {
  const file = join(temporary.path, "file");
  await writeFile(file, "content");
  // No system links to such a name, as some link to none.
  const path = join(temporary.path, "path");
  await linkFile(file, "\0", path);
  expect((await lstat(path)).isFile()).toBe(true);
  expect(await readFile(path, "utf8")).toBe("content");
  await rm(file);
  expect(await readFile(path, "utf8")).toBe("content");
  await expect(linkFile(file, "\0", join(temporary.path, "other"))).rejects.toMatchObject({ code: "ENOENT" });
});
