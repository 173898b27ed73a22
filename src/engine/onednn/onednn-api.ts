import koffi from "koffi";
import { LingolensError } from "../../errors.js";
import type { Pointer } from "../../native-library.js";
import { bindFunctions, openOneDnn, type Signatures, type Symbols, unavailable } from "./onednn-library.js";
import { type Activation, type Dialect, type MemoryDescription, version2, version3 } from "./versions.js";

/** Element types of matrices: dnnl_data_type_t. */
const DATA_TYPE = { bfloat16: 2, float32: 3 } as const;
const UINT8 = 6;
/** dnnl_engine_kind_t, dnnl_stream_flags_t, dnnl_scratchpad_mode_t and dnnl_query_t. */
const CPU = 1;
const DEFAULT_STREAM = 1;
const USER_SCRATCHPAD = 1;
const QUERY_IMPLEMENTATION = 8;
const QUERY_WEIGHTS = 131;
const QUERY_SCRATCHPAD = 136;
/** Bits of dnnl_cpu_isa_t that processors with bf16 products have: AVX512-BF16, and AMX above it. */
const BF16_ISA = 0xe7;
const OUT_OF_MEMORY = 1;

/** Sizes change from batch to batch, without end. */
const KEPT_DESCRIPTIONS = 512;

const FUNCTIONS = {
  dnnl_version: ["void*", []],
  dnnl_get_effective_cpu_isa: ["int", []],
  dnnl_engine_create: ["int", ["void*", "int", "size_t"]],
  dnnl_stream_create: ["int", ["void*", "void*", "int"]],
  dnnl_primitive_attr_create: ["int", ["void*"]],
  dnnl_primitive_attr_set_scratchpad_mode: ["int", ["void*", "int"]],
  dnnl_primitive_attr_set_post_ops: ["int", ["void*", "void*"]],
  dnnl_post_ops_create: ["int", ["void*"]],
  dnnl_post_ops_destroy: ["int", ["void*"]],
  dnnl_reorder_primitive_desc_create: ["int", ["void*", "void*", "void*", "void*", "void*", "void*"]],
  dnnl_primitive_create: ["int", ["void*", "void*"]],
  dnnl_primitive_destroy: ["int", ["void*"]],
  dnnl_primitive_desc_destroy: ["int", ["void*"]],
  dnnl_primitive_desc_query: ["int", ["void*", "int", "int", "void*"]],
  dnnl_primitive_desc_query_md: ["void*", ["void*", "int", "int"]],
  dnnl_memory_desc_get_size: ["size_t", ["void*"]],
  dnnl_memory_create: ["int", ["void*", "void*", "void*", "void*"]],
  dnnl_memory_set_data_handle: ["int", ["void*", "void*"]],
  dnnl_memory_destroy: ["int", ["void*"]],
} as const satisfies Signatures;

/** DNNL_ARG_…: the places of a primitive's arguments. */
export const ARGUMENT = {
  source: 1,
  destination: 17,
  weights: 33,
  bias: 41,
  normWeight: 51,
  normBias: 52,
  scratchpad: 80,
} as const;

const EXECUTE = "dnnl_primitive_execute";
const SET_THREADS = "omp_set_num_threads";

/** A matrix in memory, row after row; `transposed`: column after column. A vector is a matrix of one row. */
export interface MatrixType {
  readonly rows: number;
  readonly columns: number;
  readonly dtype: keyof typeof DATA_TYPE;
  readonly transposed?: boolean;
  /** In the order that a product is fastest with as its second matrix, which is the library's own. In bfloat16. */
  readonly packed?: boolean;
  /** Many such matrices in one memory. */
  readonly stack?: Stack;
}

/** Axes of a stack of matrices. */
export interface Stack {
  /** Of the axes before rows and columns. */
  readonly sizes: readonly number[];
  /** Elements from one step along an axis to the next, of all axes. */
  readonly strides: readonly number[];
}

/** What is done to a product's result before it is written, in this order. */
export interface Finish {
  /** Multiplies it. */
  readonly factor?: number | undefined;
  readonly activation?: Activation | undefined;
  /** It is added to what is in its place. */
  readonly added?: boolean | undefined;
}

export interface ProductOptions extends Finish {
  /** [1, columns of the result] in float32. */
  readonly bias?: MatrixType | undefined;
}

/** Rows of the first matrix, of a product that is asked for that order; it is the same for any number of them. */
const PACKED_FOR_ROWS = 64;

/** An operation on matrices of certain sizes, compiled. */
export interface Primitive {
  readonly pointer: Pointer;
  /** Bytes that it needs to work in. */
  readonly scratchpadBytes: number;
  /** oneDNN's name for the way it is computed, such as "brg:avx512_core_amx_bf16". */
  readonly implementation: string;
}

/**
 * oneDNN's C API, of version 2 or 3, on this machine's processors. A status other than success is thrown as a
 * `LingolensError`: `out-of-memory` or `engine-failed`.
 */
export class OneDnnApi {
  readonly #descriptions = new Map<string, MemoryDescription>();
  /** By what is done to a primitive's result. */
  readonly #attributes = new Map<string, Pointer>();

  private constructor(
    /** Such as "2.6.3". */
    readonly version: string,
    /** `dnnl_primitive_execute(primitive, stream, count, arguments)`, to be called on another thread. */
    readonly execute: Pointer,
    /** `omp_set_num_threads(int)`, for the thread that executes; null where the library is not OpenMP's. */
    readonly setThreads: Pointer | null,
    readonly stream: Pointer,
    private readonly functions: ReturnType<typeof bindFunctions<typeof FUNCTIONS>>,
    private readonly dialect: Dialect,
    private readonly engine: Pointer,
  ) {}

  /**
   * @throws {LingolensError} `engine-unavailable` where the library is missing, broken or another, or where the processor
   * (or what ONEDNN_MAX_CPU_ISA leaves of it) has no bf16 products
   */
  static load(symbols: Symbols = openOneDnn()): OneDnnApi {
    const functions = bindFunctions(symbols, FUNCTIONS);
    const execute = symbols(EXECUTE);
    if (execute === null) throw unavailable(`it has no function ${EXECUTE}`);
    const [major, ...minor] = koffi.decode(functions.dnnl_version(), "int", 3) as Int32Array;
    const version = [major, ...minor].join(".");
    if (major !== 2 && major !== 3) throw unavailable(`it is version ${version}, expected 2 or 3`);
    const isa: number = functions.dnnl_get_effective_cpu_isa();
    if ((isa & BF16_ISA) !== BF16_ISA)
      throw new LingolensError(
        "engine-unavailable",
        "Products in bf16 need a processor with AMX or AVX512-BF16, and this has neither, or ONEDNN_MAX_CPU_ISA forbids " +
          `them (oneDNN ${version} finds instruction set 0x${isa.toString(16)}).`,
      );
    const engine = make((made) => functions.dnnl_engine_create(made, CPU, 0));
    const stream = make((made) => functions.dnnl_stream_create(made, engine, DEFAULT_STREAM));
    const dialect = major === 2 ? version2(symbols) : version3(symbols);
    return new OneDnnApi(version, execute, symbols(SET_THREADS), stream, functions, dialect, engine);
  }

  /** How many threads primitives made from now on divide their work among. */
  divideAmong(threads: number): void {
    if (this.setThreads !== null) koffi.decode(this.setThreads, koffi.proto("void", ["int"]))(threads);
  }

  /** out = a · b, plus a bias if there is one, finished. */
  product(
    a: MatrixType,
    b: MatrixType,
    out: MatrixType,
    { bias, ...finish }: ProductOptions = {},
  ): Primitive {
    this.#trimDescriptions();
    const types = [this.#describe(a), this.#describe(b), bias ? this.#describe(bias) : null] as const;
    return this.#compile(this.#productDescription(types, this.#describe(out), finish));
  }

  #productDescription(
    [a, b, bias]: readonly [MemoryDescription, MemoryDescription, MemoryDescription | null],
    out: MemoryDescription,
    finish: Finish = {},
  ): Pointer {
    const attributes = this.#attributesFor(finish);
    return make((made) => this.dialect.product(a, b, bias, out, this.engine, attributes, made));
  }

  /** exp(x) / Σ exp(x) of every row, in float32. */
  softmax(matrix: MatrixType): Primitive {
    this.#trimDescriptions();
    const [description, attributes] = [this.#describe(matrix), this.#attributesFor()];
    return this.#compile(make((made) => this.dialect.softmax(description, this.engine, attributes, made)));
  }

  /** The layer norm of every row, with a weight and a bias [1, columns], in float32. */
  layerNorm(matrix: MatrixType, epsilon: number): Primitive {
    this.#trimDescriptions();
    const [description, attributes] = [this.#describe(matrix), this.#attributesFor()];
    return this.#compile(
      make((made) => this.dialect.layerNorm(description, epsilon, this.engine, attributes, made)),
    );
  }

  #attributesFor({ factor, activation, added = false }: Finish = {}): Pointer {
    const key = `${factor}:${activation}:${added}`;
    let attributes = this.#attributes.get(key);
    if (attributes === undefined) {
      const { functions, dialect } = this;
      attributes = make((made) => functions.dnnl_primitive_attr_create(made));
      // Memory of the library's own to work in belongs to the thread that made a primitive, and another executes it.
      checkStatus(functions.dnnl_primitive_attr_set_scratchpad_mode(attributes, USER_SCRATCHPAD));
      const operations = make((made) => functions.dnnl_post_ops_create(made));
      if (factor !== undefined) checkStatus(dialect.appendFactor(operations, factor));
      if (activation) checkStatus(dialect.appendActivation(operations, activation));
      if (added) checkStatus(dialect.appendSum(operations));
      checkStatus(functions.dnnl_primitive_attr_set_post_ops(attributes, operations));
      functions.dnnl_post_ops_destroy(operations);
      this.#attributes.set(key, attributes);
    }
    return attributes;
  }

  /** Bytes of a matrix, which are more than those of its numbers where it is packed. */
  bytes(type: MatrixType): number {
    return Number(this.functions.dnnl_memory_desc_get_size(this.#describe(type)));
  }

  /** The same matrix in another type, and lying in another way if it says so. */
  conversion(from: MatrixType, to: MatrixType): Primitive {
    this.#trimDescriptions();
    const [source, destination, attributes] = [
      this.#describe(from),
      this.#describe(to),
      this.#attributesFor(),
    ];
    const description = make((made) =>
      this.functions.dnnl_reorder_primitive_desc_create(
        made,
        source,
        this.engine,
        destination,
        this.engine,
        attributes,
      ),
    );
    return this.#compile(description);
  }

  #compile(description: Pointer): Primitive {
    const { functions } = this;
    try {
      const name = new BigUint64Array(1);
      checkStatus(functions.dnnl_primitive_desc_query(description, QUERY_IMPLEMENTATION, 0, name));
      const scratchpad = functions.dnnl_primitive_desc_query_md(description, QUERY_SCRATCHPAD, 0);
      return {
        pointer: make((made) => functions.dnnl_primitive_create(made, description)),
        scratchpadBytes: Number(functions.dnnl_memory_desc_get_size(scratchpad)),
        implementation: koffi.decode.string(name[0]!),
      };
    } finally {
      functions.dnnl_primitive_desc_destroy(description);
    }
  }

  destroyPrimitive({ pointer }: Primitive): void {
    this.functions.dnnl_primitive_destroy(pointer);
  }

  /** A matrix at an address, whose memory must be kept as long as this. */
  memory(type: MatrixType, address: Pointer): Pointer {
    this.#trimDescriptions();
    return make((made) =>
      this.functions.dnnl_memory_create(made, this.#describe(type), this.engine, address),
    );
  }

  /** So many bytes at an address, as a primitive's scratchpad. */
  scratchpad(bytes: number, address: Pointer): Pointer {
    const description = this.dialect.describe([bytes], [1], UINT8);
    try {
      return make((made) => this.functions.dnnl_memory_create(made, description, this.engine, address));
    } finally {
      this.dialect.release(description);
    }
  }

  moveMemory(memory: Pointer, address: Pointer): void {
    checkStatus(this.functions.dnnl_memory_set_data_handle(memory, address));
  }

  destroyMemory(memory: Pointer): void {
    this.functions.dnnl_memory_destroy(memory);
  }

  #describe(type: MatrixType): MemoryDescription {
    const key = keyOf(type);
    let description = this.#descriptions.get(key);
    if (!description) {
      const { rows, columns, dtype, transposed, packed, stack } = type;
      const strides = stack?.strides ?? (transposed ? [1, rows] : [columns, 1]);
      description = packed
        ? this.#describePacked(type)
        : this.dialect.describe([...(stack?.sizes ?? []), rows, columns], strides, DATA_TYPE[dtype]);
      this.#descriptions.set(key, description);
    }
    return description;
  }

  /** What a product that may choose the order of its second matrix chooses. */
  #describePacked({ rows, columns, dtype }: MatrixType): MemoryDescription {
    const any = this.dialect.describeAny([rows, columns], DATA_TYPE[dtype]);
    const a = this.#describe({ rows: PACKED_FOR_ROWS, columns: rows, dtype });
    const out = this.#describe({ rows: PACKED_FOR_ROWS, columns, dtype: "float32" });
    const product = this.#productDescription([a, any, null], out);
    try {
      return this.dialect.copy(this.functions.dnnl_primitive_desc_query_md(product, QUERY_WEIGHTS, 0));
    } finally {
      this.functions.dnnl_primitive_desc_destroy(product);
      this.dialect.release(any);
    }
  }

  /** Called before a call describes what it needs. */
  #trimDescriptions(): void {
    if (this.#descriptions.size < KEPT_DESCRIPTIONS) return;
    for (const description of this.#descriptions.values()) this.dialect.release(description);
    this.#descriptions.clear();
  }
}

/** The same for equal types. */
export function keyOf({
  rows,
  columns,
  dtype,
  transposed = false,
  packed = false,
  stack,
}: MatrixType): string {
  return `${rows}×${columns}${dtype}${transposed}${packed}${stack ? `${stack.sizes}/${stack.strides}` : ""}`;
}

/** What a call of the library makes. */
function make(create: (made: BigUint64Array) => number): Pointer {
  const made = new BigUint64Array(1);
  checkStatus(create(made));
  return made[0]!;
}

/** @throws {LingolensError} for a status other than success, which is 0 */
export function checkStatus(status: number): void {
  if (status === 0) return;
  if (status === OUT_OF_MEMORY)
    throw new LingolensError("out-of-memory", "oneDNN: memory could not be had for a product.");
  throw new LingolensError("engine-failed", `oneDNN refused a call (dnnl_status_t ${status}).`);
}
