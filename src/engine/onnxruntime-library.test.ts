import { mkdir, mkdtemp, realpath, rm, writeFile } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { cacheFolder, installedLibrary, onnxRuntimeLibrary } from "./onnxruntime-library.js";
import { ONNXRUNTIME_VERSION, releaseFor } from "./onnxruntime-release.js";

const unavailable = expect.objectContaining({ name: "LingolensError", code: "engine-unavailable" });
const release = releaseFor({ platform: "linux", arch: "x64", glibc: true });
const library = join(release.folder, "libonnxruntime.so.1");

let project: string;
beforeEach(async () => {
  project = await realpath(await mkdtemp(join(tmpdir(), "lingolens-library-")));
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(project, { recursive: true });
});

async function install(version: string, files: readonly string[] = [library]): Promise<string> {
  const folder = join(project, "node_modules", "onnxruntime-node");
  for (const [name, text] of [
    ["package.json", JSON.stringify({ version })],
    ...files.map((name) => [name, "library"]),
  ]) {
    await mkdir(dirname(join(folder, name!)), { recursive: true });
    await writeFile(join(folder, name!), text!);
  }
  return join(folder, library);
}

describe("the installed onnxruntime-node", () => {
  it.each([ONNXRUNTIME_VERSION, "1.41.2"])("%s is used", async (version) => {
    const path = await install(version);
    expect(installedLibrary(release, [join(project, "main.js")])).toBe(path);
    expect(installedLibrary(release, ["/nowhere/at/all.js", join(project, "deep/er/main.js")])).toBe(path);
  });

  it.each(["1.22.0", "2.0.0"])("%s is not used", async (version) => {
    await install(version);
    expect(installedLibrary(release, [join(project, "main.js")])).toBeUndefined();
  });

  it("is not used without a library for this platform", async () => {
    await install(ONNXRUNTIME_VERSION, [library.replace("linux", "win32")]);
    expect(installedLibrary(release, [join(project, "main.js")])).toBeUndefined();
  });

  it("is not found where there is none", () => {
    expect(installedLibrary(release, [join(project, "main.js")])).toBeUndefined();
  });
});

describe("LINGOLENS_ONNXRUNTIME", () => {
  it("goes before all else", async () => {
    const path = join(project, "library.so");
    await writeFile(path, "");
    vi.stubEnv("LINGOLENS_ONNXRUNTIME", path);
    expect(await onnxRuntimeLibrary()).toBe(path);
  });

  it("must name a file", async () => {
    vi.stubEnv("LINGOLENS_ONNXRUNTIME", join(project, "missing.so"));
    await expect(onnxRuntimeLibrary()).rejects.toEqual(unavailable);
    await expect(onnxRuntimeLibrary()).rejects.toThrow(/missing\.so, where there is no file/);
  });
});

describe("the cache", () => {
  it.each([
    ["linux", {}, join(homedir(), ".cache")],
    ["linux", { XDG_CACHE_HOME: "/caches" }, "/caches"],
    ["darwin", {}, join(homedir(), "Library/Caches")],
    ["win32", { LOCALAPPDATA: "/local" }, "/local"],
  ])("on %s with %o lies in %s", (platform, environment, folder) => {
    const expected = join(folder, "lingolens/onnxruntime", ONNXRUNTIME_VERSION, `${platform}-arm64`);
    expect(cacheFolder({ platform, arch: "arm64" }, environment)).toBe(expected);
  });
});

describe("platforms", () => {
  it.each([
    ["linux", "x64", true, "libonnxruntime.so.1"],
    ["linux", "arm64", true, "libonnxruntime.so.1"],
    ["darwin", "arm64", false, "libonnxruntime.1.dylib"],
    ["win32", "x64", false, "onnxruntime.dll"],
    ["win32", "arm64", false, "onnxruntime.dll"],
  ])("%s %s has a build", (platform, arch, glibc, name) => {
    expect(releaseFor({ platform, arch, glibc }).files[0].name).toBe(name);
  });

  it.each([
    ["linux", "x64", false, /linux-x64 with another C library than glibc/],
    ["darwin", "x64", false, /this is darwin-x64\. .* LINGOLENS_ONNXRUNTIME/],
    ["freebsd", "x64", false, /this is freebsd-x64/],
    ["linux", "riscv64", true, /this is linux-riscv64/],
  ])("%s %s (glibc: %s) has none, and is told so", (platform, arch, glibc, message) => {
    expect(() => releaseFor({ platform, arch, glibc })).toThrow(unavailable);
    expect(() => releaseFor({ platform, arch, glibc })).toThrow(message);
  });
});
