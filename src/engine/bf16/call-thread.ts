import type { Pointer } from "../../native-library.js";
import { NativeThread } from "../../native-thread.js";
import type { OneDnnApi } from "../onednn/onednn-api.js";
import type { OnnxRuntimeApi } from "../onnxruntime-api.js";

/** Numbers of a call: which function, and up to seven arguments. */
export const CALL_WORDS = 8;
/** First number of a call of ONNX Runtime's `Run` (session, names, tensors, count; the same of outputs). */
export const RUN = 0n;
/** First number of a call of oneDNN's `dnnl_primitive_execute` (primitive, stream, count, arguments). */
export const EXECUTE = 1n;

export interface CallFunctions {
  /** Addresses of C functions. */
  readonly run: Pointer;
  readonly execute: Pointer;
  readonly setThreads: Pointer | null;
}

export const callFunctions = (runtime: OnnxRuntimeApi, oneDnn: OneDnnApi): CallFunctions => ({
  run: runtime.runAddress,
  execute: oneDnn.execute,
  setThreads: oneDnn.setThreads,
});

/** A call that failed: whether it was ONNX Runtime's, and what it returned. */
export interface FailedCall {
  readonly segment: boolean;
  readonly status: bigint;
}

const PROGRAM = `
const run = bind(workerData.run, "void*",
  ["void*", "void*", "void*", "void*", "size_t", "void*", "size_t", "void*"]);
const execute = bind(workerData.execute, "int", ["void*", "void*", "int", "void*"]);
if (workerData.setThreads !== null) bind(workerData.setThreads, "void", ["int"])(workerData.threads);
answer = (c) => {
  for (let i = 0; i < c.length; i += ${CALL_WORDS}) {
    const segment = c[i] === ${RUN}n;
    const status = segment
      ? run(c[i + 1], null, c[i + 2], c[i + 3], Number(c[i + 4]), c[i + 5], Number(c[i + 6]), c[i + 7])
      : execute(c[i + 1], c[i + 2], Number(c[i + 3]), c[i + 4]);
    if (status) return { segment, status: BigInt(status) };
  }
  return null;
};`;

/**
 * A thread that makes lists of native calls, one after the other: the time until a call off the main thread is begun and heard
 * of would be a third of many a product's, and OpenMP keeps a team of threads for each thread that calls it.
 */
export class CallThread {
  readonly #thread: NativeThread;

  /** @param threads that oneDNN's calls work with */
  constructor(functions: CallFunctions, threads: number) {
    this.#thread = new NativeThread(PROGRAM, { ...functions, threads });
  }

  /**
   * One list at a time. What the calls point to must be kept until then.
   * @param calls shared memory, `CALL_WORDS` numbers a call
   */
  run(calls: BigUint64Array): Promise<FailedCall | null> {
    return this.#thread.ask(calls);
  }

  close(): Promise<void> {
    return this.#thread.close();
  }
}
