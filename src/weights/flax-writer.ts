/** Writes Flax's msgpack files, byte for byte as flax.serialization does, one array in memory at a time. */
import type { FileHandle } from "node:fs/promises";
import { writeFileAtomically } from "./atomic-file.js";
import { writeFully } from "./file-bytes.js";
import { CHUNKED_KEY, DTYPE_NAMES, EXTENSION, MAX_CHUNK_BYTES } from "./flax-format.js";
import { elementBytes, type SafetensorsSource } from "./safetensors.js";
import { ELEMENT_BYTES, type SafetensorsDType } from "./safetensors-header.js";
import { elementCount } from "./stored-tensor.js";

/** Modules within modules, and their arrays, row-major. Written in the order of the maps. */
export type FlaxTree = ReadonlyMap<string, FlaxTree | SafetensorsSource>;

/**
 * @param maxChunkBytes Larger arrays are written in chunks of so many bytes. Default: Flax's own limit.
 * @throws {LingolensError} `shape-mismatch` where values do not fit their dtype and shape
 */
export async function writeFlaxMsgpack(
  path: string,
  tree: FlaxTree,
  { maxChunkBytes = MAX_CHUNK_BYTES }: { readonly maxChunkBytes?: number } = {},
): Promise<void> {
  await writeFileAtomically(path, (file) => writeTree(file, tree, maxChunkBytes));
}

async function writeTree(file: FileHandle, tree: FlaxTree, maxChunkBytes: number): Promise<void> {
  await writeFully(file, mapHeader(tree.size));
  for (const [name, node] of tree) {
    await writeFully(file, text(name));
    if (node instanceof Map) await writeTree(file, node, maxChunkBytes);
    else await writeArray(file, name, node as SafetensorsSource, maxChunkBytes);
  }
}

async function writeArray(
  file: FileHandle,
  name: string,
  source: SafetensorsSource,
  maxChunkBytes: number,
): Promise<void> {
  const { dtype, shape } = source;
  const elements = elementCount(shape);
  const width = ELEMENT_BYTES[dtype];
  if (elements * width <= maxChunkBytes) {
    await writeFully(file, arrayHeader(dtype, shape));
    for await (const bytes of elementBytes(name, source)) await writeFully(file, bytes);
    return;
  }
  const chunkElements = Math.max(1, Math.floor(maxChunkBytes / width));
  await writeFully(file, chunkedHeader(shape, Math.ceil(elements / chunkElements)));
  const chunkBytes = chunkElements * width;
  let done = 0;
  for await (const bytes of elementBytes(name, source)) {
    for (let from = 0; from < bytes.length; ) {
      const within = done % chunkBytes;
      if (within === 0) {
        const size = Math.min(chunkElements, elements - done / width);
        await writeFully(file, Buffer.concat([text(String(done / chunkBytes)), arrayHeader(dtype, [size])]));
      }
      const part = bytes.subarray(from, from + chunkBytes - within);
      await writeFully(file, part);
      from += part.length;
      done += part.length;
    }
  }
}

/** An extension object and msgpack within it, up to where the elements' bytes begin. */
function arrayHeader(dtype: SafetensorsDType, shape: readonly number[]): Buffer {
  const bytes = elementCount(shape) * ELEMENT_BYTES[dtype];
  const content = Buffer.concat([
    Buffer.of(0x93),
    sized(shape.length, { fixed: 0x90, most: 0x0f, wide: [undefined, 0xdc, 0xdd] }),
    ...shape.map(unsigned),
    text(DTYPE_NAMES[dtype]),
    sized(bytes, { wide: [0xc4, 0xc5, 0xc6] }),
  ]);
  const length = content.length + bytes;
  const fixed = [1, 2, 4, 8, 16].indexOf(length);
  const start = fixed >= 0 ? Buffer.of(0xd4 + fixed) : sized(length, { wide: [0xc7, 0xc8, 0xc9] });
  return Buffer.concat([start, Buffer.of(EXTENSION.array), content]);
}

/** What precedes the chunks of a large array. */
function chunkedHeader(shape: readonly number[], chunks: number): Buffer {
  return Buffer.concat([
    mapHeader(3),
    ...[text(CHUNKED_KEY), Buffer.of(0xc3)], // true
    ...[text("shape"), mapHeader(shape.length)],
    ...shape.flatMap((size, axis) => [text(String(axis)), unsigned(size)]),
    ...[text("chunks"), mapHeader(chunks)],
  ]);
}

function mapHeader(size: number): Buffer {
  return sized(size, { fixed: 0x80, most: 0x0f, wide: [undefined, 0xde, 0xdf] });
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([sized(bytes.length, { fixed: 0xa0, most: 0x1f, wide: [0xd9, 0xda, 0xdb] }), bytes]);
}

function unsigned(value: number): Buffer {
  if (value < 2 ** 32) return sized(value, { fixed: 0, most: 0x7f, wide: [0xcc, 0xcd, 0xce] });
  const bytes = Buffer.of(0xcf, 0, 0, 0, 0, 0, 0, 0, 0);
  bytes.writeBigUInt64BE(BigInt(value), 1);
  return bytes;
}

interface Sizes {
  /** Type whose low bits hold the size up to `most`. */
  readonly fixed?: number;
  readonly most?: number;
  /** Types with the size in the next 1, 2 or 4 bytes. */
  readonly wide: readonly [one: number | undefined, two: number, four: number];
}

/** A size in the shortest form, as msgpack's libraries write it. */
function sized(size: number, { fixed = 0, most = -1, wide: [one, two, four] }: Sizes): Buffer {
  if (size <= most) return Buffer.of(fixed | size);
  if (one !== undefined && size < 2 ** 8) return Buffer.of(one, size);
  const bytes = Buffer.of(size < 2 ** 16 ? two : four, ...(size < 2 ** 16 ? [0, 0] : [0, 0, 0, 0]));
  bytes.writeUIntBE(size, 1, bytes.length - 1);
  return bytes;
}
