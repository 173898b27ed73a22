/**
 * The one interface behind which programs run. Node's engine is `native.ts`; a browser's fits beside it.
 */

import type { Program } from "../graph/onnx.js";

/** Element types that cross the engine's boundary. `bool` travels as one byte an element. */
export type DType = "float32" | "float16" | "bfloat16" | "int64" | "int32" | "int8" | "uint8" | "bool";

/** Memory of a tensor. float16 and bfloat16 travel as their 16 bits. */
export type TensorData = Float32Array | Uint16Array | BigInt64Array | Int32Array | Int8Array | Uint8Array;

/** A tensor in the caller's memory, row-major. The data may lie in a SharedArrayBuffer. */
export interface HostTensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: TensorData;
  /**
   * The same numbers rounded to bfloat16, where whoever keeps the tensor keeps them, too: an engine that multiplies in
   * bfloat16 then need not round them itself at every run.
   */
  readonly rounded?: Uint16Array;
}

/** A program encoded for ONNX Runtime. */
export interface EncodedProgram {
  /** ONNX ModelProto bytes. */
  readonly bytes: Uint8Array;
  /**
   * The folder in which the external data files that the model names lie, or their contents by name, for an engine
   * without files; absent when it has none.
   */
  readonly externalData?: string | ReadonlyMap<string, Uint8Array>;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
}

/** The numbers of a parameter that never changes. */
export type ReadConstant = (name: string) => Promise<Float32Array>;

export interface CompileOptions {
  /** Threads of one run's products. Default: the number of processors that this process may use. */
  readonly threads?: number;
  /** Rearrange constant weights for speed at the price of a copy of each in memory. Default true. */
  readonly prepack?: boolean;
  /**
   * How products of two matrices are computed: "bf16" rounds what is multiplied and adds up in float32, for engines with
   * `compileGraph`. Default "fp32".
   */
  readonly dtype?: "fp32" | "bf16";
  /**
   * With "bf16": parameters are constants, read once and kept in the order that products want, by all programs compiled with
   * this function. Default: they are fed at every run.
   */
  readonly constants?: ReadConstant;
}

/** A compiled program. */
export interface Executable {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /**
   * Runs once, off the calling thread. Inputs are read in place and outputs written in place into the caller's
   * memory: neither may be touched until the promise settles. One tensor may stand on both sides.
   * @throws {LingolensError} `handle-closed` after `close()`; `shape-mismatch` for a name, type or size that
   * does not fit; `engine-failed` and `out-of-memory` from the runtime.
   */
  run(
    inputs: Readonly<Record<string, HostTensor>>,
    outputs: Readonly<Record<string, HostTensor>>,
  ): Promise<void>;
  /** Frees the program once its last run has ended. Idempotent. */
  close(): Promise<void>;
}

export interface Engine {
  /** For messages and benchmarks, such as "ONNX Runtime 1.30.0, CPU". */
  readonly description: string;
  compile(program: EncodedProgram, options?: CompileOptions): Promise<Executable>;
  /** Compiles a program before it is encoded, for its products to be computed in bf16. Absent where the engine cannot. */
  compileGraph?(program: Program, options?: CompileOptions): Promise<Executable>;
  /** Closes every program that is still open, then the runtime. Idempotent. */
  close(): Promise<void>;
}
