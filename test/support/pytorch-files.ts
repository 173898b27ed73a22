/** PyTorch checkpoints made by hand: pickles, and the zip archives around them, whole and spoilt. */
import { crc32, deflateRawSync } from "node:zlib";

const bytes = (...parts: (string | number | Buffer)[]): Buffer =>
  Buffer.concat(
    parts.map((part) =>
      typeof part === "string"
        ? Buffer.from(part, "latin1")
        : typeof part === "number"
          ? Buffer.of(part)
          : part,
    ),
  );

/** Instructions of pickle protocol 2 that push a value. */
export const pickled = {
  text: (text: string): Buffer => bytes("X", uint32(Buffer.byteLength(text)), Buffer.from(text)),
  integer: (value: number): Buffer => bytes("J", int32(value)),
  tuple: (...items: Buffer[]): Buffer => bytes("(", ...items, "t"),
  list: (...items: Buffer[]): Buffer => bytes("](", ...items, "e"),
  dictionary: (...pairs: [Buffer, Buffer][]): Buffer => bytes("}(", ...pairs.flat(), "u"),
  global: (module: string, name: string): Buffer => bytes("c", module, "\n", name, "\n"),
  call: (callee: Buffer, ...args: Buffer[]): Buffer => bytes(callee, pickled.tuple(...args), "R"),
  none: Buffer.from("N"),
  no: Buffer.from([0x89]),
};

export const pickle = (value: Buffer): Buffer => bytes(0x80, 2, value, ".");

export interface View {
  /** Name of PyTorch's storage class, such as FloatStorage. */
  readonly type: string;
  readonly key: string;
  readonly elements: number;
  readonly offset?: number;
  readonly shape: readonly number[];
  readonly stride: readonly number[];
}

const { text, integer, tuple, global, call, no } = pickled;

export function pickledTensor({ type, key, elements, offset = 0, shape, stride }: View): Buffer {
  const id = tuple(text("storage"), global("torch", type), text(key), text("cpu"), integer(elements));
  return call(
    global("torch._utils", "_rebuild_tensor_v2"),
    bytes(id, "Q"),
    integer(offset),
    tuple(...shape.map(integer)),
    tuple(...stride.map(integer)),
    no,
    call(global("collections", "OrderedDict")),
  );
}

/** A state_dict. */
export function pickledTensors(views: Readonly<Record<string, View>>): Buffer {
  const pairs = Object.entries(views).map(([name, view]): [Buffer, Buffer] => [
    text(name),
    pickledTensor(view),
  ]);
  return pickle(pickled.dictionary(...pairs));
}

export interface ZipPart {
  readonly name: string;
  readonly content: Buffer;
  readonly deflate?: boolean;
  /** What the directory says instead of the truth. */
  readonly claimedBytes?: number;
  readonly method?: number;
  readonly flags?: number;
}

/** A zip archive; with `zip64`, sizes and offsets stand in 64 bits. */
export function zipArchive(parts: readonly ZipPart[], { zip64 = false } = {}): Buffer {
  const files: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const { name, content, deflate = false, claimedBytes = content.length, method, flags = 0 } of parts) {
    const stored = deflate ? deflateRawSync(content) : content;
    const common = bytes(
      uint16(flags),
      uint16(method ?? (deflate ? 8 : 0)),
      uint32(0),
      uint32(crc32(content)),
      zip64 ? uint32(0xffffffff) : uint32(stored.length),
      zip64 ? uint32(0xffffffff) : uint32(claimedBytes),
      uint16(name.length),
    );
    const wide = zip64
      ? bytes(uint16(1), uint16(24), uint64(claimedBytes), uint64(stored.length), uint64(offset))
      : "";
    directory.push(
      bytes(
        "PK\x01\x02",
        uint16(45),
        uint16(45),
        common,
        uint16(wide.length),
        uint16(0),
        uint32(0),
        uint32(0),
      ),
      bytes(zip64 ? uint32(0xffffffff) : uint32(offset), name, wide),
    );
    const file = bytes("PK\x03\x04", uint16(45), common, uint16(0), name, stored);
    files.push(file);
    offset += file.length;
  }
  const list = Buffer.concat(directory);
  const count = parts.length;
  const end64 = zip64
    ? bytes(
        bytes("PK\x06\x06", uint64(44), uint16(45), uint16(45), uint32(0), uint32(0)),
        bytes(uint64(count), uint64(count), uint64(list.length), uint64(offset)),
        bytes("PK\x06\x07", uint32(0), uint64(offset + list.length), uint32(1)),
      )
    : "";
  const end = bytes(
    bytes("PK\x05\x06", uint16(0), uint16(0), uint16(count), uint16(count)),
    zip64 ? uint32(0xffffffff) : uint32(list.length),
    zip64 ? uint32(0xffffffff) : uint32(offset),
    uint16(0),
  );
  return bytes(...files, list, end64, end);
}

/** What torch.save would write: a pickle and the storages' bytes by their keys. */
export function torchArchive(
  dataPickle: Buffer,
  storages: Readonly<Record<string, Buffer>> = {},
  { byteOrder = "little", deflate = false, zip64 = false } = {},
): Buffer {
  return zipArchive(
    [
      { name: "model/data.pkl", content: dataPickle, deflate },
      { name: "model/byteorder", content: Buffer.from(byteOrder) },
      ...Object.entries(storages).map(([key, content]) => ({ name: `model/data/${key}`, content, deflate })),
    ],
    { zip64 },
  );
}

function uint16(value: number): Buffer {
  const buffer = Buffer.alloc(2);
  buffer.writeUInt16LE(value);
  return buffer;
}

function uint32(value: number): Buffer {
  const buffer = Buffer.alloc(4);
  buffer.writeUInt32LE(value);
  return buffer;
}

function int32(value: number): Buffer {
  const buffer = Buffer.alloc(4);
  buffer.writeInt32LE(value);
  return buffer;
}

function uint64(value: number): Buffer {
  const buffer = Buffer.alloc(8);
  buffer.writeBigUInt64LE(BigInt(value));
  return buffer;
}
