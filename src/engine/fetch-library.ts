import { createHash } from "node:crypto";
import { createReadStream, createWriteStream, existsSync } from "node:fs";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";
import { type Extract, extract } from "tar-stream";
import { LingolensError } from "../errors.js";
import { writeFolderAtomically } from "../weights/atomic-file.js";
import { findNpm, npmPack } from "./npm-pack.js";
import {
  ONNXRUNTIME_PACKAGE,
  ONNXRUNTIME_VERSION,
  type Release,
  type ReleaseFile,
} from "./onnxruntime-release.js";

type Entry = Extract extends AsyncIterable<infer E> ? E : never;

/**
 * Fetches the library from the package registry into `folder`, which appears whole or not at all; another process
 * may do the same at the same time.
 * @throws {LingolensError} `engine-unavailable` with what to do about it
 */
export async function fetchLibrary(
  release: Release,
  folder: string,
  onNotice: (line: string) => void,
): Promise<void> {
  onNotice(
    `lingolens: fetching ONNX Runtime ${ONNXRUNTIME_VERSION} from the npm registry into ${folder}, once (about 115 MB)…`,
  );
  try {
    await mkdir(dirname(folder), { recursive: true });
    await withTarball(dirname(folder), (tarball) =>
      writeFolderAtomically(folder, (aside) => extractLibrary(tarball, release, aside)),
    );
  } catch (cause) {
    // Another process may have been faster.
    if (existsSync(join(folder, release.files[0].name))) return;
    throw unavailable(release, folder, cause as Error);
  }
}

/** Gives `use` the package's tarball as a stream, from npm or, where there is none, from the registry itself. */
async function withTarball(parent: string, use: (tarball: Readable) => Promise<void>): Promise<void> {
  const npm = findNpm();
  if (!npm) return use(await download());
  // Beside the cache, as a machine's folder for temporary files may be a small one in memory.
  const temporary = await mkdtemp(join(parent, ".tmp-pack-"));
  try {
    const tarball = await npmPack(npm, `${ONNXRUNTIME_PACKAGE}@${ONNXRUNTIME_VERSION}`, temporary);
    await use(createReadStream(tarball));
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

async function download(): Promise<Readable> {
  // Only here, as one start in a thousand needs it.
  const { EnvHttpProxyAgent, request } = await import("undici");
  const registry = (process.env.npm_config_registry || "https://registry.npmjs.org").replace(/\/$/, "");
  const address = `${registry}/${ONNXRUNTIME_PACKAGE}/-/${ONNXRUNTIME_PACKAGE}-${ONNXRUNTIME_VERSION}.tgz`;
  const { statusCode, body } = await request(address, { dispatcher: new EnvHttpProxyAgent() });
  if (statusCode === 200) return body;
  await body.dump();
  throw new Error(`${address} answered with status ${statusCode}`);
}

/**
 * Writes a release's files out of the package's tarball.
 * @throws {Error} when one is missing, or is not byte for byte the one that was published
 */
export async function extractLibrary(tarball: Readable, release: Release, folder: string): Promise<void> {
  const wanted = new Map(release.files.map((file) => [`package/${release.folder}/${file.name}`, file]));
  const entries = extract();
  // What goes wrong here destroys `entries`, and so comes out of the loop below.
  const feeding = pipeline(tarball, createGunzip(), entries).catch(() => undefined);
  try {
    for await (const entry of entries) {
      const { name } = entry.header;
      const file = wanted.get(name);
      if (!file) {
        entry.resume();
        continue;
      }
      await extractFile(entry, file, folder);
      wanted.delete(name);
      if (wanted.size === 0) return;
    }
  } finally {
    tarball.destroy();
    await feeding;
  }
  throw new Error(`the package has no ${[...wanted.keys()].join(", ")}`);
}

async function extractFile(
  entry: Entry,
  { name, bytes, sha256 }: ReleaseFile,
  folder: string,
): Promise<void> {
  const { size, type } = entry.header;
  if (type !== "file" || size !== bytes)
    throw new Error(`${name}: expected a file of ${bytes} bytes, got a ${type} of ${size}`);
  const hash = createHash("sha256");
  const hashed = async function* (chunks: AsyncIterable<Buffer>) {
    for await (const chunk of chunks) {
      hash.update(chunk);
      yield chunk;
    }
  };
  await pipeline(Readable.from(entry), hashed, createWriteStream(join(folder, name), { flags: "wx" }));
  const digest = hash.digest("hex");
  if (digest !== sha256) throw new Error(`${name}: expected SHA-256 ${sha256}, got ${digest}`);
}

function unavailable({ files }: Release, folder: string, cause: Error): LingolensError {
  return new LingolensError(
    "engine-unavailable",
    `ONNX Runtime ${ONNXRUNTIME_VERSION}, which runs the models, could not be fetched: ${cause.message}. Do one of these:
  - run this again where the npm registry can be reached and ${dirname(folder)} can be written;
  - install it beside lingolens: ONNXRUNTIME_NODE_INSTALL=skip npm install ${ONNXRUNTIME_PACKAGE}@${ONNXRUNTIME_VERSION};
  - set LINGOLENS_ONNXRUNTIME to the path of a ${basename(files[0].name)} (1.22 or newer) that is on this machine.`,
    { cause },
  );
}
