import koffi from "koffi";
import type { Pointer } from "../../native-library.js";
import { checkStatus } from "./onednn-api.js";
import { bindFunctions, type Signatures, type Symbols } from "./onednn-library.js";

/** A description of memory: in version 2 its bytes, in version 3 its address. Calls copy what they need of it. */
export type MemoryDescription = Uint8Array | Pointer;

/** x·Φ(x), and x·σ(1.702·x). */
export type Activation = "gelu" | "quickGelu";

/** dnnl_format_tag_any. */
const ANY = 1;
/** The number in quickGelu; gelu has none. */
const ALPHA = 1.702;
/** dnnl_forward_inference and dnnl_softmax_accurate. */
const INFERENCE = 96;
const SOFTMAX = 0x30000;

/** What oneDNN's versions 2 and 3 say differently. */
export interface Dialect {
  describe(dimensions: readonly number[], strides: readonly number[], dataType: number): MemoryDescription;
  /** Memory in whatever order a primitive is fastest with. */
  describeAny(dimensions: readonly number[], dataType: number): MemoryDescription;
  /** A description that outlives what this address, of one, is a part of. */
  copy(description: Pointer): MemoryDescription;
  release(description: MemoryDescription): void;
  /** These append to what is done to a result, and return the status: an activation; a factor; adding what is there. */
  appendActivation(operations: Pointer, activation: Activation): number;
  appendFactor(operations: Pointer, factor: number): number;
  appendSum(operations: Pointer): number;
  /** Makes the description of the primitive out = a · b + bias, and returns the status. */
  product(
    a: MemoryDescription,
    b: MemoryDescription,
    bias: MemoryDescription | null,
    out: MemoryDescription,
    engine: Pointer,
    attributes: Pointer,
    made: BigUint64Array,
  ): number;
  /** The same of the softmax, or the layer norm with weight and bias, of every row of a matrix. */
  softmax(matrix: MemoryDescription, engine: Pointer, attributes: Pointer, made: BigUint64Array): number;
  layerNorm(
    matrix: MemoryDescription,
    epsilon: number,
    engine: Pointer,
    attributes: Pointer,
    made: BigUint64Array,
  ): number;
}

const VERSION_2 = {
  dnnl_memory_desc_init_by_strides: ["int", ["void*", "int", "void*", "int", "void*"]],
  dnnl_memory_desc_init_by_tag: ["int", ["void*", "int", "void*", "int", "int"]],
  dnnl_matmul_desc_init: ["int", ["void*", "void*", "void*", "void*", "void*"]],
  dnnl_post_ops_append_eltwise: ["int", ["void*", "float", "int", "float", "float"]],
  dnnl_post_ops_append_sum: ["int", ["void*", "float"]],
  dnnl_softmax_forward_desc_init: ["int", ["void*", "int", "void*", "int"]],
  dnnl_layer_normalization_forward_desc_init: ["int", ["void*", "int", "void*", "void*", "float", "uint"]],
  dnnl_primitive_desc_create: ["int", ["void*", "void*", "void*", "void*", "void*"]],
} as const satisfies Signatures;

/** More than each of dnnl_memory_desc_t and the descriptions of operations take: 696 and at most 3,496 bytes in 2.6. */
const MEMORY_BYTES = 1024;
const OPERATION_BYTES = 8192;
/** Of dnnl_memory_desc_t since 2.0. */
const COPIED_BYTES = 696;
/** dnnl_eltwise_gelu_erf and dnnl_eltwise_swish. */
const ACTIVATIONS_2 = { gelu: 0x30, quickGelu: 0xdf } as const;
/** dnnl_eltwise_linear, and dnnl_use_scale with dnnl_use_shift. */
const LINEAR_2 = 0x7f;
const WEIGHT_AND_BIAS_2 = 0x18;

/** Version 2 has descriptions in the caller's memory. */
export function version2(symbols: Symbols): Dialect {
  const functions = bindFunctions(symbols, VERSION_2);
  const describe: Dialect["describe"] = (dimensions, strides, dataType) => {
    const description = new Uint8Array(MEMORY_BYTES);
    checkStatus(
      functions.dnnl_memory_desc_init_by_strides(
        description,
        dimensions.length,
        BigInt64Array.from(dimensions, BigInt),
        dataType,
        BigInt64Array.from(strides, BigInt),
      ),
    );
    return description;
  };
  /** @param describe what is to be done, into this memory */
  function create(
    describe: (operation: Uint8Array) => number,
    engine: Pointer,
    attributes: Pointer,
    made: BigUint64Array,
  ): number {
    const operation = new Uint8Array(OPERATION_BYTES);
    return (
      describe(operation) || functions.dnnl_primitive_desc_create(made, operation, attributes, engine, null)
    );
  }
  return {
    describe,
    describeAny(dimensions, dataType) {
      const description = new Uint8Array(MEMORY_BYTES);
      const sizes = BigInt64Array.from(dimensions, BigInt);
      checkStatus(
        functions.dnnl_memory_desc_init_by_tag(description, dimensions.length, sizes, dataType, ANY),
      );
      return description;
    },
    copy(description) {
      const copy = new Uint8Array(MEMORY_BYTES);
      copy.set(koffi.decode(description, "uint8_t", COPIED_BYTES));
      return copy;
    },
    release: () => {},
    appendActivation: (operations, activation) =>
      functions.dnnl_post_ops_append_eltwise(operations, 1, ACTIVATIONS_2[activation], ALPHA, 0),
    appendFactor: (operations, factor) =>
      functions.dnnl_post_ops_append_eltwise(operations, 1, LINEAR_2, factor, 0),
    appendSum: (operations) => functions.dnnl_post_ops_append_sum(operations, 1),
    product: (a, b, bias, out, ...rest) =>
      create((into) => functions.dnnl_matmul_desc_init(into, a, b, bias, out), ...rest),
    softmax: (matrix, ...rest) =>
      create((into) => functions.dnnl_softmax_forward_desc_init(into, INFERENCE, matrix, 1), ...rest),
    layerNorm: (matrix, epsilon, ...rest) =>
      create(
        (into) =>
          functions.dnnl_layer_normalization_forward_desc_init(
            into,
            INFERENCE,
            matrix,
            null,
            epsilon,
            WEIGHT_AND_BIAS_2,
          ),
        ...rest,
      ),
  };
}

/** The same as in version 2, under other numbers. */
const ACTIVATIONS_3 = { gelu: 0x31, quickGelu: 0x2c } as const;
const LINEAR_3 = 0x26;
const WEIGHT_AND_BIAS_3 = 0x6;
/** dnnl_data_type_undef: of what is added, that of the result. */
const SAME_TYPE = 0;

const VERSION_3 = {
  dnnl_memory_desc_destroy: ["int", ["void*"]],
  dnnl_memory_desc_create_with_strides: ["int", ["void*", "int", "void*", "int", "void*"]],
  dnnl_memory_desc_create_with_tag: ["int", ["void*", "int", "void*", "int", "int"]],
  dnnl_memory_desc_clone: ["int", ["void*", "void*"]],
  dnnl_post_ops_append_eltwise: ["int", ["void*", "int", "float", "float"]],
  dnnl_post_ops_append_sum: ["int", ["void*", "float", "int32_t", "int"]],
  dnnl_softmax_forward_primitive_desc_create: [
    "int",
    ["void*", "void*", "int", "int", "void*", "void*", "int", "void*"],
  ],
  dnnl_layer_normalization_forward_primitive_desc_create: [
    "int",
    ["void*", "void*", "int", "void*", "void*", "void*", "float", "uint", "void*"],
  ],
  dnnl_matmul_primitive_desc_create: ["int", ["void*", "void*", "void*", "void*", "void*", "void*", "void*"]],
} as const satisfies Signatures;

/** Version 3 makes descriptions itself, and a product without the step between. */
export function version3(symbols: Symbols): Dialect {
  const functions = bindFunctions(symbols, VERSION_3);
  const made = (make: (into: BigUint64Array) => number): Pointer => {
    const into = new BigUint64Array(1);
    checkStatus(make(into));
    return into[0]!;
  };
  const sizes = (dimensions: readonly number[]) => BigInt64Array.from(dimensions, BigInt);
  return {
    describe: (dimensions, strides, dataType) =>
      made((into) =>
        functions.dnnl_memory_desc_create_with_strides(
          into,
          dimensions.length,
          sizes(dimensions),
          dataType,
          sizes(strides),
        ),
      ),
    describeAny: (dimensions, dataType) =>
      made((into) =>
        functions.dnnl_memory_desc_create_with_tag(into, dimensions.length, sizes(dimensions), dataType, ANY),
      ),
    copy: (description) => made((into) => functions.dnnl_memory_desc_clone(into, description)),
    release: (description) => functions.dnnl_memory_desc_destroy(description),
    appendActivation: (operations, activation) =>
      functions.dnnl_post_ops_append_eltwise(operations, ACTIVATIONS_3[activation], ALPHA, 0),
    appendFactor: (operations, factor) =>
      functions.dnnl_post_ops_append_eltwise(operations, LINEAR_3, factor, 0),
    appendSum: (operations) => functions.dnnl_post_ops_append_sum(operations, 1, 0, SAME_TYPE),
    product: (a, b, bias, out, engine, attributes, into) =>
      functions.dnnl_matmul_primitive_desc_create(into, engine, a, b, bias, out, attributes),
    softmax: (matrix, engine, attributes, into) =>
      functions.dnnl_softmax_forward_primitive_desc_create(
        into,
        engine,
        INFERENCE,
        SOFTMAX,
        matrix,
        matrix,
        1,
        attributes,
      ),
    layerNorm: (matrix, epsilon, engine, attributes, into) =>
      functions.dnnl_layer_normalization_forward_primitive_desc_create(
        into,
        engine,
        INFERENCE,
        matrix,
        matrix,
        null,
        epsilon,
        WEIGHT_AND_BIAS_3,
        attributes,
      ),
  };
}
