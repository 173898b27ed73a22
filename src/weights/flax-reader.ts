/**
 * Reads Flax's msgpack files without holding them in memory: a walk through the tree notes where the arrays lie.
 * Msgpack: https://github.com/msgpack/msgpack/blob/master/spec.md. Files are untrusted: every size is checked against
 * the file's before anything is taken for it.
 */
import type { FileHandle } from "node:fs/promises";
import { LingolensError } from "../errors.js";
import { fileSize, readFully, withFile } from "./file-bytes.js";
import { CHUNKED_KEY, DTYPE_NAMES, EXTENSION } from "./flax-format.js";
import type { TensorLocation } from "./safetensors.js";
import { damaged, ELEMENT_BYTES, type SafetensorsDType } from "./safetensors-header.js";
import { elementCount, locatedTensor, piecesAt, type StoredTensor } from "./stored-tensor.js";

export interface FlaxCheckpoint {
  /** By their paths, joined by dots. */
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  /** Leaves that are no arrays, such as a count of steps; a complex number as its parts. */
  readonly values: ReadonlyMap<string, FlaxValue>;
}

export type FlaxValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | { readonly real: number; readonly imaginary: number };

type FlaxTree = Map<string, FlaxNode>;
type FlaxNode = FlaxTree | LocatedArray | { readonly value: FlaxValue };

class LocatedArray {
  constructor(
    readonly dtype: SafetensorsDType,
    readonly shape: readonly number[],
    readonly location: TensorLocation,
  ) {}
}

const MAX_DEPTH = 64;
/** Of a key, a number's digits or a text value: names, not contents. */
const MAX_TEXT_BYTES = 4096;
/** A model has a thousand or two. */
const MAX_NODES = 200_000;
/** Bytes read at once; what is between arrays is smaller. */
const BLOCK_BYTES = 1 << 16;

const DTYPES = new Map(Object.entries(DTYPE_NAMES).map(([dtype, name]) => [name, dtype as SafetensorsDType]));

/** @throws {LingolensError} `file-not-found`, `checkpoint-damaged`, `unsupported-format` for dtypes that are no numbers */
export async function openFlaxCheckpoint(path: string): Promise<FlaxCheckpoint> {
  return withFile(path, async (file) => {
    const reader = new FlaxReader(file, await fileSize(file, path), path);
    const tensors = new Map<string, StoredTensor>();
    const values = new Map<string, FlaxValue>();
    flatten(await reader.readTree(), "", path, tensors, values);
    return { tensors, values };
  });
}

class FlaxReader {
  #at = 0;
  #nodes = 0;
  #block = Buffer.alloc(0);
  #blockStart = 0;

  constructor(
    private readonly file: FileHandle,
    private readonly size: number,
    private readonly path: string,
  ) {}

  async readTree(): Promise<FlaxTree> {
    const tree = await this.#node("", 0);
    if (!(tree instanceof Map)) throw this.#damaged("", "expected a map of parameters");
    if (this.#at !== this.size)
      throw this.#damaged("", `expected the end, got ${this.size - this.#at} bytes more`);
    return tree;
  }

  async #node(name: string, depth: number): Promise<FlaxNode> {
    if (depth > MAX_DEPTH || ++this.#nodes > MAX_NODES)
      throw this.#damaged(name, `expected at most ${MAX_NODES} values, nested ${MAX_DEPTH} deep`);
    const type = await this.#unsigned(1);
    if (type >= 0x80 && type <= 0x8f) return this.#map(type & 0x0f, name, depth);
    if (type === 0xde) return this.#map(await this.#unsigned(2), name, depth);
    if (type === 0xdf) return this.#map(await this.#unsigned(4), name, depth);
    const extensionLength = await this.#extensionLength(type);
    if (extensionLength !== undefined) return this.#extension(extensionLength, name);
    return { value: await this.#plain(type, name) };
  }

  async #map(count: number, name: string, depth: number): Promise<FlaxTree> {
    const map: FlaxTree = new Map();
    for (let i = 0; i < count; i++) {
      const key = await this.#plain(await this.#unsigned(1), name);
      if (typeof key !== "string" || map.has(key))
        throw this.#damaged(name, "expected text as keys, each once");
      map.set(key, await this.#node(join(name, key), depth + 1));
    }
    return map;
  }

  async #extensionLength(type: number): Promise<number | undefined> {
    if (type >= 0xd4 && type <= 0xd8) return 1 << (type - 0xd4);
    if (type >= 0xc7 && type <= 0xc9) return this.#unsigned(1 << (type - 0xc7));
    return undefined;
  }

  async #extension(length: number, name: string): Promise<FlaxNode> {
    const code = await this.#unsigned(1);
    const end = this.#at + length;
    if (end > this.size) throw this.#damaged(name, `expected ${length} bytes, but the file ends before`);
    let node: FlaxNode;
    if (code === EXTENSION.array || code === EXTENSION.scalar) node = await this.#array(name);
    else if (code === EXTENSION.complex) node = { value: await this.#complex(name) };
    else throw this.#damaged(name, `expected an array, got an extension of type ${code}`);
    if (this.#at !== end)
      throw this.#damaged(name, `expected an array of ${length} bytes, got another number`);
    return node;
  }

  /** [shape, dtype, bytes] */
  async #array(name: string): Promise<LocatedArray> {
    if ((await this.#unsigned(1)) !== 0x93)
      throw this.#damaged(name, "expected an array's shape, dtype and bytes");
    const rank = (await this.#unsigned(1)) - 0x90;
    // Larger ranks would be written otherwise; NumPy ends at 64, and models at 4.
    if (rank < 0 || rank > 0x0f) throw this.#damaged(name, "expected a shape of at most 15 sizes");
    const shape: number[] = [];
    for (let axis = 0; axis < rank; axis++) shape.push(await this.#size(name));
    const dtypeName = await this.#plain(await this.#unsigned(1), name);
    const dtype = DTYPES.get(String(dtypeName));
    if (!dtype) {
      throw new LingolensError(
        "unsupported-format",
        `${this.path}: ${name}: expected numbers as ${[...DTYPES.keys()].join(", ")}, got ${JSON.stringify(dtypeName)}.`,
      );
    }
    const length = await this.#binaryLength(name);
    const expected = elementCount(shape) * ELEMENT_BYTES[dtype];
    if (length !== expected)
      throw this.#damaged(name, `expected ${expected} bytes of ${dtypeName} [${shape}], got ${length}`);
    const location = { file: this.path, offset: this.#at, length };
    this.#at += length;
    return new LocatedArray(dtype, shape, location);
  }

  async #complex(name: string): Promise<FlaxValue> {
    if ((await this.#unsigned(1)) !== 0x92)
      throw this.#damaged(name, "expected two parts of a complex number");
    const real = await this.#plain(await this.#unsigned(1), name);
    const imaginary = await this.#plain(await this.#unsigned(1), name);
    if (typeof real !== "number" || typeof imaginary !== "number")
      throw this.#damaged(name, "expected numbers as parts of a complex number");
    return { real, imaginary };
  }

  async #size(name: string): Promise<number> {
    const size = await this.#plain(await this.#unsigned(1), name);
    if (Number.isSafeInteger(size) && (size as number) >= 0) return size as number;
    throw this.#damaged(name, "expected whole numbers as a shape");
  }

  async #binaryLength(name: string): Promise<number> {
    const type = await this.#unsigned(1);
    if (type >= 0xc4 && type <= 0xc6) return this.#unsigned(1 << (type - 0xc4));
    throw this.#damaged(name, "expected an array's bytes");
  }

  /** Numbers, text, nil and booleans. */
  async #plain(type: number, name: string): Promise<Exclude<FlaxValue, object> | null> {
    if (type <= 0x7f) return type;
    if (type >= 0xe0) return type - 0x100;
    if (type >= 0xa0 && type <= 0xbf) return this.#text(type & 0x1f, name);
    switch (type) {
      case 0xc0:
        return null;
      case 0xc2:
        return false;
      case 0xc3:
        return true;
      case 0xca:
        return (await this.#take(4)).readFloatBE();
      case 0xcb:
        return (await this.#take(8)).readDoubleBE();
      case 0xcc:
      case 0xcd:
      case 0xce:
        return this.#unsigned(1 << (type - 0xcc));
      case 0xcf:
        return narrow((await this.#take(8)).readBigUInt64BE());
      case 0xd0:
      case 0xd1:
      case 0xd2: {
        const bytes = 1 << (type - 0xd0);
        return (await this.#take(bytes)).readIntBE(0, bytes);
      }
      case 0xd3:
        return narrow((await this.#take(8)).readBigInt64BE());
      case 0xd9:
      case 0xda:
      case 0xdb:
        return this.#text(await this.#unsigned(1 << (type - 0xd9)), name);
      default:
        throw this.#damaged(
          name,
          `expected an array, a number or text, got msgpack's type 0x${type.toString(16)}`,
        );
    }
  }

  async #text(bytes: number, name: string): Promise<string> {
    if (bytes > MAX_TEXT_BYTES)
      throw this.#damaged(name, `expected at most ${MAX_TEXT_BYTES} bytes of text, got ${bytes}`);
    return (await this.#take(bytes)).toString("utf8");
  }

  async #unsigned(bytes: number): Promise<number> {
    return (await this.#take(bytes)).readUIntBE(0, bytes);
  }

  /** The next bytes, at most a block of them. */
  async #take(length: number): Promise<Buffer> {
    if (this.#at + length > this.size) throw this.#damaged("", "expected the file to go on, but it ends");
    const from = this.#at - this.#blockStart;
    if (from < 0 || from + length > this.#block.length) {
      this.#blockStart = this.#at;
      this.#block = Buffer.alloc(Math.min(BLOCK_BYTES, this.size - this.#at));
      await readFully(this.file, this.#block, this.#at, this.path);
    }
    this.#at += length;
    return this.#block.subarray(this.#at - length - this.#blockStart, this.#at - this.#blockStart);
  }

  #damaged(name: string, what: string): LingolensError {
    return damaged(`${this.path}, byte ${this.#at}${name === "" ? "" : `, ${name}`}`, what);
  }
}

function narrow(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

function join(path: string, key: string): string {
  return path === "" ? key : `${path}.${key}`;
}

function flatten(
  tree: FlaxTree,
  name: string,
  path: string,
  tensors: Map<string, StoredTensor>,
  values: Map<string, FlaxValue>,
): void {
  for (const [key, node] of tree) {
    const full = join(name, key);
    if (tensors.has(full) || values.has(full)) throw damaged(path, `expected ${full} once, got it twice`);
    if (node instanceof LocatedArray) tensors.set(full, locatedTensor(node.dtype, node.shape, node.location));
    else if (!(node instanceof Map)) values.set(full, node.value);
    else if (node.has(CHUNKED_KEY)) tensors.set(full, chunkedTensor(node, full, path));
    else flatten(node, full, path, tensors, values);
  }
}

function chunkedTensor(tree: FlaxTree, name: string, path: string): StoredTensor {
  const shape = numbered(tree.get("shape"), name, path).map((size) => {
    if (
      size instanceof Map ||
      size instanceof LocatedArray ||
      !Number.isSafeInteger(size.value) ||
      Number(size.value) < 0
    )
      throw damaged(path, `${name}: expected whole numbers as a shape`);
    return Number(size.value);
  });
  const chunks = numbered(tree.get("chunks"), name, path);
  const [first] = chunks;
  let elements = 0;
  const locations = chunks.map((chunk) => {
    if (
      !(chunk instanceof LocatedArray) ||
      chunk.shape.length !== 1 ||
      chunk.dtype !== (first as LocatedArray).dtype
    )
      throw damaged(path, `${name}: expected chunks of one dimension and dtype`);
    elements += chunk.shape[0]!;
    return chunk.location;
  });
  if (!(first instanceof LocatedArray) || elements !== elementCount(shape))
    throw damaged(path, `${name}: expected chunks of [${shape}] together, got ${elements} elements`);
  return {
    file: path,
    dtype: first.dtype,
    shape,
    pieces: async function* () {
      for (const location of locations) yield* piecesAt(first.dtype, location);
    },
  };
}

/** The values of a map from "0", "1", …, in that order. */
function numbered(tree: FlaxNode | undefined, name: string, path: string): FlaxNode[] {
  if (!(tree instanceof Map)) throw damaged(path, `${name}: expected a shape and chunks`);
  return Array.from({ length: tree.size }, (_, i) => {
    const node = tree.get(String(i));
    if (node === undefined) throw damaged(path, `${name}: expected ${i} among the keys, got none`);
    return node;
  });
}
