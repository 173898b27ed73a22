import { readFile, stat } from "node:fs/promises";
import { type ErrorCode, LingolensError } from "../errors.js";

/** Model configs have kilobytes, indices of sharded checkpoints some hundred. */
const MAX_BYTES = 16 * 1024 * 1024;

/**
 * Reads a JSON object of moderate size, or undefined where there is no such file.
 * @param damaged The code of the error for a file that holds no JSON object.
 */
export async function readJsonObject(
  path: string,
  damaged: ErrorCode,
): Promise<Readonly<Record<string, unknown>> | undefined> {
  try {
    const { size } = await stat(path);
    if (size > MAX_BYTES) {
      throw new LingolensError(damaged, `${path}: expected at most ${MAX_BYTES} bytes of JSON, got ${size}.`);
    }
    const json: unknown = JSON.parse(await readFile(path, "utf8"));
    if (typeof json === "object" && json !== null && !Array.isArray(json)) return { ...json };
  } catch (cause) {
    if (cause instanceof LingolensError) throw cause;
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new LingolensError(damaged, `${path}: cannot be read as JSON. ${(cause as Error).message}`, {
      cause,
    });
  }
  throw new LingolensError(damaged, `${path}: expected a JSON object, got another JSON value.`);
}
