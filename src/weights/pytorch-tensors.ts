/** What the pickle in a PyTorch checkpoint may name: tensors, their storages, and the dictionaries that hold them. */
import { LingolensError } from "../errors.js";
import { PickleFunction } from "./pickle.js";
import { damaged, ELEMENT_BYTES, type SafetensorsDType } from "./safetensors-header.js";
import { elementCount } from "./stored-tensor.js";

/** A stretch of elements that tensors are views of. */
export interface TorchStorage {
  readonly key: string;
  readonly dtype: SafetensorsDType;
  readonly elements: number;
}

/** Element [i, j, …] is number offset + i·stride[0] + j·stride[1] + … of the storage. */
export class TorchTensor {
  constructor(
    readonly storage: TorchStorage,
    readonly offset: number,
    readonly shape: readonly number[],
    readonly stride: readonly number[],
  ) {}

  /** Whether the elements lie in the storage in row-major order, without gaps. */
  get contiguous(): boolean {
    let expected = 1;
    for (let axis = this.shape.length - 1; axis >= 0; axis--) {
      if (this.shape[axis] !== 1 && this.stride[axis] !== expected) return elementCount(this.shape) === 0;
      expected *= this.shape[axis]!;
    }
    return true;
  }

  /** Elements of the storage from the tensor's first to its last. */
  get span(): number {
    if (elementCount(this.shape) === 0) return 0;
    return this.shape.reduce((last, size, axis) => last + (size - 1) * this.stride[axis]!, 0) + 1;
  }
}

/** PyTorch's storage classes of real numbers. */
const STORAGES: Readonly<Record<string, SafetensorsDType>> = {
  FloatStorage: "F32",
  DoubleStorage: "F64",
  HalfStorage: "F16",
  BFloat16Storage: "BF16",
  LongStorage: "I64",
  IntStorage: "I32",
  ShortStorage: "I16",
  CharStorage: "I8",
  ByteStorage: "U8",
  BoolStorage: "BOOL",
};

class StorageType {
  constructor(readonly dtype: SafetensorsDType) {}
}

const MAX_RANK = 64;
/** A tensor that repeats its storage (stride 0) may become this large even where the file is small. */
const MIN_TENSOR_BYTES = 1 << 20;

/** @param fileBytes Bounds tensors that repeat their storage. */
export function torchGlobals(where: string, fileBytes: number): ReadonlyMap<string, unknown> {
  return new Map<string, unknown>([
    ["collections OrderedDict", new PickleFunction((args) => orderedDict(args, where))],
    ["torch._utils _rebuild_tensor_v2", new PickleFunction((args) => rebuildTensor(args, where, fileBytes))],
    ["torch._utils _rebuild_parameter", new PickleFunction(([data]) => data)],
    ...Object.entries(STORAGES).map(([name, dtype]) => [`torch ${name}`, new StorageType(dtype)] as const),
  ]);
}

/** A persistent id: ("storage", type, key, device, elements), and in the legacy form the view of another storage. */
export function torchStorage(id: unknown, where: string): TorchStorage {
  if (!Array.isArray(id) || id[0] !== "storage") throw damaged(where, "expected the id of a storage");
  const [, type, key, , elements, view] = id as unknown[];
  if (!(type instanceof StorageType) || typeof key !== "string" || !isCount(elements))
    throw damaged(where, "expected a storage's type, key and number of elements");
  if (view !== undefined && view !== null) {
    throw new LingolensError(
      "unsupported-format",
      `${where}: expected storages of their own, got one within another, as PyTorch before 0.4 wrote them. ` +
        "Load the checkpoint with a newer PyTorch and save it again.",
    );
  }
  return { key, dtype: type.dtype, elements };
}

function orderedDict([pairs = []]: readonly unknown[], where: string): Map<unknown, unknown> {
  const isPair = (pair: unknown): pair is [unknown, unknown] => Array.isArray(pair) && pair.length === 2;
  if (!Array.isArray(pairs) || !pairs.every(isPair))
    throw damaged(where, "expected pairs for an OrderedDict");
  return new Map(pairs);
}

function rebuildTensor(args: readonly unknown[], where: string, fileBytes: number): TorchTensor {
  const [storage, offset, shape, stride] = args;
  if (!isStorage(storage) || !isCount(offset) || !isCounts(shape) || !isCounts(stride))
    throw damaged(where, "expected a tensor's storage, offset, sizes and strides as whole numbers");
  if (shape.length !== stride.length || shape.length > MAX_RANK)
    throw damaged(where, `expected as many strides as sizes, at most ${MAX_RANK}, got ${stride.length}`);
  const tensor = new TorchTensor(storage, offset, [...shape], [...stride]);
  if (offset + tensor.span > storage.elements) {
    throw damaged(
      where,
      `expected a tensor within the ${storage.elements} elements of storage ${storage.key}, ` +
        `got one of ${tensor.span} from ${offset} on`,
    );
  }
  const bytes = elementCount(shape) * ELEMENT_BYTES[storage.dtype];
  const limit = Math.max(fileBytes, MIN_TENSOR_BYTES);
  if (bytes > limit)
    throw damaged(where, `expected a tensor of at most ${limit} bytes, got [${shape}], which are ${bytes}`);
  return tensor;
}

function isStorage(value: unknown): value is TorchStorage {
  return typeof value === "object" && value !== null && "elements" in value && "key" in value;
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isCounts(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.every(isCount);
}
