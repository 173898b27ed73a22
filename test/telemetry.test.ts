import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import { onnxRuntimeLibrary } from "../src/engine/onnxruntime-library.js";

// ONNX Runtime keeps a device's identifier and what it will report in the user's cache, unless it is told not to.
it("leaves nothing in the user's folders but our own", async () => {
  const home = await mkdtemp(join(tmpdir(), "lingolens-"));
  const cache = join(home, "cache");
  // The library is not fetched again: its folder in the cache ends in the version and the platform.
  const library = await onnxRuntimeLibrary();
  const [, tail] = library.split(/[/\\]lingolens[/\\]/);
  if (tail) {
    const target = join(cache, "lingolens", tail, "..");
    await mkdir(target, { recursive: true });
    await cp(join(library, ".."), target, { recursive: true });
  }
  const root = fileURLToPath(new URL("..", import.meta.url));
  const main = join(root, "dist", "cli", "main.js");
  const env = { ...process.env, HOME: home, XDG_CACHE_HOME: cache };
  const args = [main, "caption", join(root, "examples", "scene-1.png")];
  await promisify(execFile)(process.execPath, args, { env });
  expect(await readdir(home)).toEqual(["cache"]);
  expect(await readdir(cache)).toEqual(["lingolens"]);
  await rm(home, { recursive: true });
}, 30_000);
