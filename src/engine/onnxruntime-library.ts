import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { LingolensError } from "../errors.js";
import { userCacheFolder } from "../user-cache.js";
import { fetchLibrary } from "./fetch-library.js";
import {
  type Machine,
  ONNXRUNTIME_PACKAGE,
  ONNXRUNTIME_VERSION,
  type Release,
  releaseFor,
  thisMachine,
} from "./onnxruntime-release.js";

export interface LibraryOptions {
  /** Told in one line when the library is about to be fetched. Default: the line goes to stderr. */
  readonly onNotice?: (line: string) => void;
}

/**
 * Path of ONNX Runtime's shared library: the one that LINGOLENS_ONNXRUNTIME names; that of an installed
 * onnxruntime-node; the one in the user's cache, fetched into it once.
 * @throws {LingolensError} `engine-unavailable` with what to do about it
 */
export async function onnxRuntimeLibrary({ onNotice = toStderr }: LibraryOptions = {}): Promise<string> {
  const named = process.env.LINGOLENS_ONNXRUNTIME;
  if (named) {
    if (existsSync(named)) return named;
    throw new LingolensError(
      "engine-unavailable",
      `LINGOLENS_ONNXRUNTIME names ${named}, where there is no file.`,
    );
  }
  const machine = thisMachine();
  const release = releaseFor(machine);
  // Not from the current folder: whoever can put files there could run native code of theirs.
  const callers = [import.meta.url, ...(process.argv[1] ? [process.argv[1]] : [])];
  const installed = installedLibrary(release, callers);
  if (installed) return installed;

  const folder = cacheFolder(machine);
  const library = join(folder, release.files[0].name);
  if (!existsSync(library)) await fetchLibrary(release, folder, onNotice);
  return library;
}

/**
 * The library within an onnxruntime-node that one of the callers would get by `require`, if that is our release or
 * a later one of the same major version.
 */
export function installedLibrary(release: Release, callers: readonly string[]): string | undefined {
  for (const caller of callers) {
    const manifest = resolveFrom(caller, `${ONNXRUNTIME_PACKAGE}/package.json`);
    if (!manifest) continue;
    const { version } = JSON.parse(readFileSync(manifest, "utf8")) as { version: string };
    const library = join(dirname(manifest), release.folder, release.files[0].name);
    if (atLeast(version, ONNXRUNTIME_VERSION) && existsSync(library)) return library;
  }
  return undefined;
}

function resolveFrom(caller: string, module: string): string | undefined {
  try {
    return createRequire(caller).resolve(module);
  } catch {
    return undefined;
  }
}

function atLeast(version: string, wanted: string): boolean {
  const [major, minor] = version.split(".").map(Number);
  const [wantedMajor, wantedMinor] = wanted.split(".").map(Number);
  return major === wantedMajor && minor! >= wantedMinor!;
}

/** The platform's place for files that can be fetched again. */
export function cacheFolder(
  { platform, arch }: Pick<Machine, "platform" | "arch">,
  environment: NodeJS.ProcessEnv = process.env,
): string {
  return join(
    userCacheFolder(platform, environment),
    "onnxruntime",
    ONNXRUNTIME_VERSION,
    `${platform}-${arch}`,
  );
}

function toStderr(line: string): void {
  process.stderr.write(`${line}\n`);
}
