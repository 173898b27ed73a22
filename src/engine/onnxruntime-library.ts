import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { LingolensError } from "../errors.js";

/** The version that is used and fetched. */
export const ONNXRUNTIME_VERSION = "1.30.0";

export interface LibraryOptions {
  /** Told in one line when the library is fetched. Default: written to stderr. */
  readonly onNotice?: (line: string) => void;
}

/** Path of ONNX Runtime's shared library. */
export async function onnxRuntimeLibrary(_options: LibraryOptions): Promise<string> {
  const named = process.env.LINGOLENS_ONNXRUNTIME;
  if (named) return named;
  const cached = join(
    homedir(),
    ".cache/lingolens/onnxruntime",
    ONNXRUNTIME_VERSION,
    "linux-x64/libonnxruntime.so.1",
  );
  if (existsSync(cached)) return cached;
  throw new LingolensError("engine-unavailable", "LINGOLENS_ONNXRUNTIME is not set.");
}
