import { type FileHandle, open, rm } from "node:fs/promises";
import { join } from "node:path";
import { readBytes } from "../formats/lines.js";

/** Memory for pictures that wait for the others of their shard, of all shards of a process. */
const HELD_BYTES = 32 * 2 ** 20;
let heldBytes = 0;

interface Place {
  readonly start: number;
  readonly length: number;
}

/**
 * Pictures in the order in which they come, until all of a shard are there: in memory while there is room, others in
 * a file. Small ones then never pass through the pool of threads that decode.
 */
export class Spool {
  readonly #held = new Map<string, Uint8Array>();
  readonly #places = new Map<string, Place>();
  #end = 0;

  private constructor(
    private readonly path: string,
    private readonly file: FileHandle,
  ) {}

  static async open(folder: string): Promise<Spool> {
    const path = join(folder, "spool");
    return new Spool(path, await open(path, "wx+"));
  }

  async write(key: string, bytes: Uint8Array): Promise<void> {
    if (heldBytes + bytes.length <= HELD_BYTES) {
      heldBytes += bytes.length;
      this.#held.set(key, bytes);
      return;
    }
    const start = this.#end;
    this.#end += bytes.length;
    this.#places.set(key, { start, length: bytes.length });
    let done = 0;
    while (done < bytes.length) {
      const { bytesWritten } = await this.file.write(bytes, done, bytes.length - done, start + done);
      done += bytesWritten;
    }
  }

  async read(key: string): Promise<Uint8Array> {
    const held = this.#held.get(key);
    if (held) return held;
    const { start, length } = this.#places.get(key)!;
    return readBytes(this.file, start, length);
  }

  async close(): Promise<void> {
    for (const bytes of this.#held.values()) heldBytes -= bytes.length;
    this.#held.clear();
    await this.file.close();
    await rm(this.path);
  }
}
