import { checkStatus, type Pointer } from "./onednn-api.js";
import { bindFunctions, type Signatures, type Symbols } from "./onednn-library.js";

/** A description of memory: in version 2 its bytes, in version 3 its address. Calls copy what they need of it. */
export type MemoryDescription = Uint8Array | Pointer;

/** What oneDNN's versions 2 and 3 say differently. */
export interface Dialect {
  describe(dimensions: readonly number[], strides: readonly number[], dataType: number): MemoryDescription;
  release(description: MemoryDescription): void;
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
}

const VERSION_2 = {
  dnnl_memory_desc_init_by_strides: ["int", ["void*", "int", "void*", "int", "void*"]],
  dnnl_matmul_desc_init: ["int", ["void*", "void*", "void*", "void*", "void*"]],
  dnnl_primitive_desc_create: ["int", ["void*", "void*", "void*", "void*", "void*"]],
} as const satisfies Signatures;

/** More than each of dnnl_memory_desc_t and dnnl_matmul_desc_t take: 696 and 2,800 bytes in 2.6. */
const MEMORY_BYTES = 1024;
const PRODUCT_BYTES = 4096;

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
  return {
    describe,
    release: () => {},
    product(a, b, bias, out, engine, attributes, made) {
      const operation = new Uint8Array(PRODUCT_BYTES);
      const status = functions.dnnl_matmul_desc_init(operation, a, b, bias, out);
      return status || functions.dnnl_primitive_desc_create(made, operation, attributes, engine, null);
    },
  };
}

const VERSION_3 = {
  dnnl_memory_desc_destroy: ["int", ["void*"]],
  dnnl_memory_desc_create_with_strides: ["int", ["void*", "int", "void*", "int", "void*"]],
  dnnl_matmul_primitive_desc_create: ["int", ["void*", "void*", "void*", "void*", "void*", "void*", "void*"]],
} as const satisfies Signatures;

/** Version 3 makes descriptions itself, and a product without the step between. */
export function version3(symbols: Symbols): Dialect {
  const functions = bindFunctions(symbols, VERSION_3);
  const describe: Dialect["describe"] = (dimensions, strides, dataType) => {
    const made = new BigUint64Array(1);
    checkStatus(
      functions.dnnl_memory_desc_create_with_strides(
        made,
        dimensions.length,
        BigInt64Array.from(dimensions, BigInt),
        dataType,
        BigInt64Array.from(strides, BigInt),
      ),
    );
    return made[0]!;
  };
  return {
    describe,
    release: (description) => functions.dnnl_memory_desc_destroy(description),
    product: (a, b, bias, out, engine, attributes, made) =>
      functions.dnnl_matmul_primitive_desc_create(made, engine, a, b, bias, out, attributes),
  };
}
