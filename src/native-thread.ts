import { createRequire } from "node:module";
import { Worker } from "node:worker_threads";

/**
 * A thread that makes native calls, for as long as they take, one list of them after the other. A call made off the main
 * thread one by one costs a tenth of a millisecond until it is begun and heard of. Calls come as addresses: all of a
 * process's threads have the same memory. What they point to must be kept until the answer.
 */
export class NativeThread {
  readonly #worker: Worker;

  /**
   * @param body JavaScript that sets `answer`, a function of a message. It finds `bind(address, result, parameters)`, which
   * makes a C function of an address, and `workerData`.
   */
  constructor(body: string, workerData: object) {
    const koffi = createRequire(import.meta.url).resolve("koffi");
    this.#worker = new Worker(BEGINNING + body + END, { eval: true, workerData: { ...workerData, koffi } });
    this.#worker.unref();
  }

  /** Waits for the answer to a message; one at a time. Meanwhile the process stays. */
  ask<Answer>(message: unknown): Promise<Answer> {
    const worker = this.#worker;
    return new Promise((resolve, reject) => {
      const settle = (then: () => void) => {
        worker.off("message", done).off("error", failed).off("exit", exited);
        worker.unref();
        then();
      };
      const done = (answer: Answer) => settle(() => resolve(answer));
      const failed = (error: unknown) => settle(() => reject(error));
      const exited = () => settle(() => reject(new Error("The thread of native calls has ended.")));
      worker.on("message", done).on("error", failed).on("exit", exited);
      worker.ref();
      worker.postMessage(message);
    });
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }
}

/** The thread's program is text, since a file of its own would be found in the build only. */
const BEGINNING = `
const { parentPort, workerData } = require("node:worker_threads");
const koffi = require(workerData.koffi);
const size = 4 * 1024 * 1024;
if (koffi.config().sync_stack_size !== size) koffi.config({ sync_stack_size: size, async_stack_size: size });
koffi.load(null); // koffi makes its stack for a thread when the first library is opened there.
const bind = (address, result, parameters) => koffi.decode(address, koffi.proto(result, parameters));
let answer;
`;

const END = `
parentPort.on("message", (message) => parentPort.postMessage(answer(message)));`;
