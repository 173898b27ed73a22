import { createHash } from "node:crypto";
import { fileSize, readFully, withFile } from "./file-bytes.js";

/** Files up to BLOCKS · BLOCK_BYTES (16 MiB) are hashed whole, of larger ones as much in blocks all over the file. */
const BLOCKS = 256;
const BLOCK_BYTES = 1 << 16;

/**
 * What tells a file's content from another's: its size, and a SHA-256 of samples. A file of gigabytes takes some
 * milliseconds. It shows that a file was replaced or cut; a changed bit within a large one it may miss.
 */
export async function fileIdentity(path: string): Promise<string> {
  return withFile(path, async (file) => {
    const size = await fileSize(file, path);
    const hash = createHash("sha256");
    const block = Buffer.alloc(BLOCK_BYTES);
    const step = Math.max(BLOCK_BYTES, (size - BLOCK_BYTES) / (BLOCKS - 1));
    for (let i = 0; i * step < size; i++) {
      const offset = Math.floor(i * step);
      const part = block.subarray(0, Math.min(BLOCK_BYTES, size - offset));
      await readFully(file, part, offset, path);
      hash.update(part);
    }
    return `${size}-${hash.digest("hex")}`;
  });
}
