/**
 * The tensors of a PyTorch checkpoint: `torch.save` of a state_dict, as a zip archive (PyTorch 1.6 and later) or in the
 * legacy form, a row of pickles with the storages' bytes behind them. Nothing of a file is ever run.
 *
 * zip: `NAME/data.pkl` holds the dictionary, `NAME/data/KEY` a storage's bytes, `NAME/byteorder` "little" or "big".
 * legacy: pickles of a magic number, the version, the writer's machine, the dictionary and the list of the storages'
 * keys; then for each key the number of elements as 8 bytes, and the elements.
 */
import { LingolensError } from "../errors.js";
import { allocate, fileSize, readFully, withFile } from "./file-bytes.js";
import { MAX_PICKLE_BYTES, readPickle } from "./pickle.js";
import { type TorchStorage, TorchTensor, torchGlobals, torchStorage } from "./pytorch-tensors.js";
import { elementsOf, readElements, type SafetensorsData, type TensorLocation } from "./safetensors.js";
import { damaged, ELEMENT_BYTES } from "./safetensors-header.js";
import { elementCount, locatedTensor, type StoredTensor } from "./stored-tensor.js";
import {
  checkStoredEntry,
  isZip,
  openZip,
  readZipEntry,
  type ZipArchive,
  type ZipEntry,
} from "./zip-archive.js";

/** Dictionaries within dictionaries; a dictionary may even hold itself. */
const MAX_DEPTH = 32;
const MAX_VALUES = 1_000_000;

/** Where a storage's bytes come from. */
interface StorageBytes {
  /** Where they lie in the file; absent for compressed ones. */
  readonly location?: TensorLocation;
  /** Makes sure, once, that located bytes are those that were written. */
  check(): Promise<void>;
  /** Reads some of them, checked. */
  read(from: number, to: number): Promise<ArrayBuffer>;
}

/**
 * Reads the list of tensors; names of nested dictionaries are joined by dots. What is no tensor is left out.
 * @throws {LingolensError} `file-not-found`, `checkpoint-damaged`; `unsupported-format` for what is no PyTorch
 * checkpoint or one of a big-endian machine
 */
export async function openPytorchCheckpoint(path: string): Promise<Map<string, StoredTensor>> {
  const { start, size } = await withFile(path, async (file) => {
    const size = await fileSize(file, path);
    const start = Buffer.alloc(Math.min(size, 4));
    await readFully(file, start, 0, path);
    return { start, size };
  });
  if (isZip(start)) return openZipForm(path, size);
  if (start[0] === 0x80) return openLegacyForm(path, size);
  throw new LingolensError(
    "unsupported-format",
    `${path}: expected a PyTorch checkpoint, a zip archive or a pickle, got a file of ${size} bytes that is neither.`,
  );
}

async function openZipForm(path: string, size: number): Promise<Map<string, StoredTensor>> {
  const archive = await openZip(path);
  const pickleName = [...archive.entries.keys()].find((name) => /^[^/]+\/data\.pkl$/.test(name));
  if (pickleName === undefined) throw damaged(path, "expected data.pkl in the zip archive, got none");
  const folder = pickleName.slice(0, -"data.pkl".length);
  const byteOrder = archive.entries.get(`${folder}byteorder`);
  if (byteOrder && (await readZipEntry(archive, "byteorder", byteOrder)).toString() !== "little")
    refuseBigEndian(path);
  const pickle = await readZipEntry(archive, pickleName, entryWithin(archive, pickleName, MAX_PICKLE_BYTES));
  const { value } = readPickle(pickle, {
    where: path,
    globals: torchGlobals(path, size),
    persistent: (id) => torchStorage(id, path),
  });
  const storages = new Map<string, StorageBytes>();
  return collectTensors(path, value, ({ key }, bytes) => {
    const name = `${folder}data/${key}`;
    const entry = entryWithin(archive, name, bytes);
    if (entry.bytes !== bytes)
      throw damaged(path, `storage ${key}: expected ${bytes} bytes, got ${entry.bytes}`);
    const storage = storages.get(name) ?? zipStorage(archive, name, entry);
    storages.set(name, storage);
    return storage;
  });
}

function entryWithin(archive: ZipArchive, name: string, limit: number): ZipEntry {
  const entry = archive.entries.get(name);
  if (!entry) throw damaged(archive.path, `expected ${name} in the zip archive, got none`);
  if (entry.bytes <= limit) return entry;
  throw damaged(archive.path, `zip entry ${name}: expected at most ${limit} bytes, got ${entry.bytes}`);
}

function zipStorage(archive: ZipArchive, name: string, entry: ZipEntry): StorageBytes {
  if (entry.compressed) {
    return {
      check: async () => undefined,
      read: async (from, to) =>
        new Uint8Array((await readZipEntry(archive, name, entry)).subarray(from, to)).buffer,
    };
  }
  const location = { file: archive.path, offset: entry.offset, length: entry.bytes };
  let checked: Promise<void> | undefined;
  return locatedStorage(location, () => {
    checked ??= checkStoredEntry(archive, name, entry);
    return checked;
  });
}

function locatedStorage(location: TensorLocation, check: () => Promise<void>): StorageBytes {
  return {
    location,
    check,
    read: async (from, to) => {
      await check();
      const bytes = await readElements("U8", {
        ...location,
        offset: location.offset + from,
        length: to - from,
      });
      return bytes.buffer as ArrayBuffer;
    },
  };
}

const MAGIC_NUMBER = 0x1950a86a20f9469cfc6cn;
const PROTOCOL_VERSION = 1001;

async function openLegacyForm(path: string, size: number): Promise<Map<string, StoredTensor>> {
  const head = Buffer.from(allocate(Math.min(size, MAX_PICKLE_BYTES), `${path}'s pickles`));
  await withFile(path, (file) => readFully(file, head, 0, path));
  const storages = new Map<string, TorchStorage>();
  const persistent = (id: unknown): TorchStorage => {
    const storage = torchStorage(id, path);
    const known = storages.get(storage.key) ?? storage;
    if (known.dtype !== storage.dtype || known.elements !== storage.elements)
      throw damaged(path, `expected storage ${storage.key} to be described alike everywhere`);
    storages.set(storage.key, known);
    return known;
  };
  const world = { where: path, globals: torchGlobals(path, size), persistent };
  let at = 0;
  const next = (): unknown => {
    const { value, end } = readPickle(head.subarray(at), world);
    at += end;
    return value;
  };
  if (next() !== MAGIC_NUMBER || next() !== PROTOCOL_VERSION) {
    throw new LingolensError(
      "unsupported-format",
      `${path}: expected a PyTorch checkpoint, got another pickle. Save the model's state_dict with torch.save.`,
    );
  }
  const machine = next();
  if (!(machine instanceof Map)) throw damaged(path, "expected a description of the machine that wrote it");
  if (machine.get("little_endian") !== true) refuseBigEndian(path);
  const value = next();
  const locations = await locateStorages(path, size, next(), at, storages);
  return collectTensors(path, value, ({ key }) => {
    const location = locations.get(key);
    if (!location) throw damaged(path, `expected the bytes of storage ${key}, got none`);
    return locatedStorage(location, async () => undefined); // This form has no checksums.
  });
}

const COUNT_BYTES = 8;

/** Walks over the storages behind the pickles, in the order of the list of their keys. */
async function locateStorages(
  path: string,
  size: number,
  keys: unknown,
  start: number,
  storages: ReadonlyMap<string, TorchStorage>,
): Promise<Map<string, TensorLocation>> {
  if (!Array.isArray(keys)) throw damaged(path, "expected a list of the storages' keys");
  const locations = new Map<string, TensorLocation>();
  let at = start;
  await withFile(path, async (file) => {
    for (const key of keys as unknown[]) {
      const storage = storages.get(String(key));
      if (!storage || locations.has(storage.key)) throw damaged(path, "expected each storage's key once");
      const count = Buffer.alloc(COUNT_BYTES);
      await readFully(file, count, at, path);
      const length = storage.elements * ELEMENT_BYTES[storage.dtype];
      if (count.readBigInt64LE() !== BigInt(storage.elements) || at + COUNT_BYTES + length > size) {
        throw damaged(path, `expected ${storage.elements} elements of storage ${storage.key} at byte ${at}`);
      }
      locations.set(storage.key, { file: path, offset: at + COUNT_BYTES, length });
      at += COUNT_BYTES + length;
    }
  });
  return locations;
}

function refuseBigEndian(path: string): never {
  throw new LingolensError(
    "unsupported-format",
    `${path}: expected numbers in little-endian order, got a checkpoint of a big-endian machine. ` +
      "Load it with PyTorch on a usual machine and save it again.",
  );
}

/** @param bytesOf The place of a storage of so many bytes. */
function collectTensors(
  path: string,
  root: unknown,
  bytesOf: (storage: TorchStorage, bytes: number) => StorageBytes,
): Map<string, StoredTensor> {
  if (!(root instanceof Map)) {
    throw new LingolensError(
      "unsupported-format",
      `${path}: expected a dictionary of tensors, got another value. Save the model's state_dict.`,
    );
  }
  const tensors = new Map<string, StoredTensor>();
  let visited = 0;
  const visit = (value: unknown, name: string, depth: number): void => {
    // Dictionaries may hold each other, so that few of them make many paths.
    if (++visited > MAX_VALUES || depth > MAX_DEPTH)
      throw damaged(path, `expected at most ${MAX_VALUES} values, nested ${MAX_DEPTH} deep`);
    if (value instanceof TorchTensor) {
      if (tensors.has(name)) throw damaged(path, `expected tensor ${name} once, got it twice`);
      const { storage } = value;
      tensors.set(
        name,
        viewOf(path, value, bytesOf(storage, storage.elements * ELEMENT_BYTES[storage.dtype])),
      );
    } else if (value instanceof Map) {
      for (const [key, item] of value) {
        if (typeof key === "string" || typeof key === "number")
          visit(item, name === "" ? String(key) : `${name}.${key}`, depth + 1);
      }
    }
  };
  visit(root, "", 0);
  return tensors;
}

function viewOf(path: string, tensor: TorchTensor, bytes: StorageBytes): StoredTensor {
  const { storage, shape, offset, span } = tensor;
  const width = ELEMENT_BYTES[storage.dtype];
  if (tensor.contiguous && bytes.location) {
    const location = {
      ...bytes.location,
      offset: bytes.location.offset + offset * width,
      length: span * width,
    };
    const located = locatedTensor(storage.dtype, shape, location);
    return {
      ...located,
      pieces: async function* () {
        await bytes.check();
        yield* located.pieces();
      },
    };
  }
  return {
    file: path,
    dtype: storage.dtype,
    shape,
    pieces: async function* () {
      const elements = elementsOf(storage.dtype, await bytes.read(offset * width, (offset + span) * width));
      yield tensor.contiguous ? elements : gather(tensor, elements);
    },
  };
}

/** The elements of a view in row-major order, out of those from its first to its last. */
function gather({ storage, shape, stride }: TorchTensor, elements: SafetensorsData): SafetensorsData {
  const count = elementCount(shape);
  const gathered = elementsOf(storage.dtype, allocate(count * ELEMENT_BYTES[storage.dtype], "a tensor"));
  const index = shape.map(() => 0);
  let from = 0;
  for (let to = 0; to < count; to++) {
    gathered[to] = elements[from]!;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      from += stride[axis]!;
      if (++index[axis]! < shape[axis]!) break;
      from -= stride[axis]! * shape[axis]!;
      index[axis] = 0;
    }
  }
  return gathered;
}
