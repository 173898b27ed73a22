import { createRequire } from "node:module";
import { Worker } from "node:worker_threads";
import type { OneDnnApi } from "../onednn/onednn-api.js";
import type { OnnxRuntimeApi, Pointer } from "../onnxruntime-api.js";

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

/**
 * From text, since a file of its own would be found in the build only. Calls come as addresses: all of a process's
 * threads have the same memory.
 */
const WORKER = `
const { parentPort, workerData } = require("node:worker_threads");
const koffi = require(workerData.koffi);
const size = 4 * 1024 * 1024;
if (koffi.config().sync_stack_size !== size) koffi.config({ sync_stack_size: size, async_stack_size: size });
koffi.load(null); // koffi makes its stack for a thread when the first library is opened there.
const bind = (address, result, parameters) => koffi.decode(address, koffi.proto(result, parameters));
const run = bind(workerData.run, "void*",
  ["void*", "void*", "void*", "void*", "size_t", "void*", "size_t", "void*"]);
const execute = bind(workerData.execute, "int", ["void*", "void*", "int", "void*"]);
if (workerData.setThreads !== null) bind(workerData.setThreads, "void", ["int"])(workerData.threads);
parentPort.on("message", (c) => {
  for (let i = 0; i < c.length; i += ${CALL_WORDS}) {
    const segment = c[i] === ${RUN}n;
    const status = segment
      ? run(c[i + 1], null, c[i + 2], c[i + 3], Number(c[i + 4]), c[i + 5], Number(c[i + 6]), c[i + 7])
      : execute(c[i + 1], c[i + 2], Number(c[i + 3]), c[i + 4]);
    if (status) return parentPort.postMessage({ segment, status: BigInt(status) });
  }
  parentPort.postMessage(null);
});`;

/**
 * A thread that makes lists of native calls, one after the other. A call made off the main thread one by one costs a tenth of
 * a millisecond until it is begun and heard of, a third of many a product; and OpenMP keeps a team of threads for each
 * thread that calls it.
 */
export class CallThread {
  readonly #worker: Worker;

  /** @param threads that oneDNN's calls work with */
  constructor(functions: CallFunctions, threads: number) {
    const koffi = createRequire(import.meta.url).resolve("koffi");
    this.#worker = new Worker(WORKER, { eval: true, workerData: { ...functions, threads, koffi } });
    this.#worker.unref();
  }

  /**
   * One list at a time. What the calls point to must be kept until then.
   * @param calls shared memory, `CALL_WORDS` numbers a call
   */
  run(calls: BigUint64Array): Promise<FailedCall | null> {
    const worker = this.#worker;
    return new Promise((resolve, reject) => {
      const settle = (then: () => void) => {
        worker.off("message", done).off("error", failed).off("exit", exited);
        worker.unref();
        then();
      };
      const done = (failure: FailedCall | null) => settle(() => resolve(failure));
      const failed = (error: unknown) => settle(() => reject(error));
      const exited = () => settle(() => reject(new Error("The thread of native calls has ended.")));
      worker.on("message", done).on("error", failed).on("exit", exited);
      worker.ref();
      worker.postMessage(calls);
    });
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }
}
