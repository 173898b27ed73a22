import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { pack } from "tar-stream";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { extractLibrary, fetchLibrary } from "./fetch-library.js";
import { environmentForNpm } from "./npm-pack.js";
import type { Release } from "./onnxruntime-release.js";

/** Random, so that nothing of it is lost in compression. */
const contents = { "library.so": randomBytes(3000), "helper.so": randomBytes(500) };
const fileOf = (name: keyof typeof contents) => ({
  name,
  bytes: contents[name].length,
  sha256: createHash("sha256").update(contents[name]).digest("hex"),
});
const release: Release = { folder: "bin/here", files: [fileOf("library.so"), fileOf("helper.so")] };

const published = {
  "package/package.json": Buffer.from("{}"),
  "package/bin/there/library.so": randomBytes(3000),
  "package/bin/here/library.so": contents["library.so"],
  "package/bin/here/helper.so": contents["helper.so"],
};

async function tarballOf(files: Readonly<Record<string, Buffer>>): Promise<Buffer> {
  const tar = pack();
  for (const [name, data] of Object.entries(files)) tar.entry({ name }, data);
  tar.finalize();
  return gzipSync(await buffer(tar as unknown as Readable));
}

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "lingolens-fetch-"));
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true });
});

describe("extractLibrary", () => {
  it("writes this platform's files and no others", async () => {
    await extractLibrary(Readable.from([await tarballOf(published)]), release, folder);
    expect((await readdir(folder)).sort()).toEqual(["helper.so", "library.so"]);
    for (const [name, data] of Object.entries(contents))
      expect((await readFile(join(folder, name))).equals(data)).toBe(true);
  });

  it.each([
    ["other bytes", { "package/bin/here/library.so": randomBytes(3000) }, /library\.so: expected SHA-256/],
    ["another size", { "package/bin/here/library.so": Buffer.alloc(4000) }, /3000 bytes, got a file of 4000/],
  ])("refuses %s than were published", async (_, changed, message) => {
    const tarball = await tarballOf({ ...published, ...changed });
    await expect(extractLibrary(Readable.from([tarball]), release, folder)).rejects.toThrow(message);
  });

  it("names the file that is missing", async () => {
    const { "package/bin/here/helper.so": _, ...rest } = published;
    const extraction = extractLibrary(Readable.from([await tarballOf(rest)]), release, folder);
    await expect(extraction).rejects.toThrow("the package has no package/bin/here/helper.so");
  });

  it("never accepts a tarball cut short before its last wanted byte", async () => {
    const tarball = await tarballOf(published);
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: tarball.length - 1200 }), async (length) => {
        const place = await mkdtemp(join(folder, "cut-"));
        await expect(
          extractLibrary(Readable.from([tarball.subarray(0, length)]), release, place),
        ).rejects.toThrow();
      }),
    );
  });

  it("never accepts a flipped byte in what it writes", async () => {
    const tarball = await tarballOf(published);
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: tarball.length - 1 }), async (at) => {
        const place = await mkdtemp(join(folder, "flip-"));
        const damaged = Buffer.from(tarball);
        damaged[at]! ^= 0x55;
        const failed = await extractLibrary(Readable.from([damaged]), release, place).then(
          () => false,
          () => true,
        );
        if (failed) return;
        for (const [name, data] of Object.entries(contents))
          expect((await readFile(join(place, name))).equals(data)).toBe(true);
      }),
    );
  });
});

describe("fetchLibrary", () => {
  it("that fails says what to do, gives one notice and leaves nothing behind", async () => {
    // Nothing listens on the port of discarded bytes.
    vi.stubEnv("npm_config_registry", "http://127.0.0.1:9/");
    vi.stubEnv("npm_config_fetch_retries", "0");
    const notices: string[] = [];
    const failure = await fetchLibrary(release, join(folder, "library"), (line) => notices.push(line)).catch(
      (e) => e,
    );
    expect(failure).toMatchObject({ name: "LingolensError", code: "engine-unavailable" });
    expect(failure.message).toMatch(/could not be fetched: .*ECONNREFUSED/);
    expect(failure.message).toMatch(
      /- run this again.*\n.*- install it.*onnxruntime-node@.*\n.*- set LINGOLENS_ONNXRUNTIME/,
    );
    expect(notices).toEqual([expect.stringMatching(/^lingolens: fetching ONNX Runtime [\d.]+ .*once.*$/)]);
    expect(await readdir(folder)).toEqual([]);
  });
});

describe("environmentForNpm", () => {
  it("keeps where packages come from, and drops what would change the command", async () => {
    const kept = {
      PATH: "/bin",
      npm_config_registry: "http://r",
      npm_config_https_proxy: "http://p",
      NPM_CONFIG_CAFILE: "c",
    };
    const dropped = {
      npm_config_dry_run: "true",
      "npm_config_dry-run": "true",
      NPM_CONFIG_JSON: "true",
      npm_config_workspace: "w",
      npm_config_prefix: "/p",
    };
    expect(environmentForNpm({ ...kept, ...dropped })).toEqual({
      ...kept,
      npm_config_update_notifier: "false",
    });
  });
});
