/** A thread of the `SamplePool`. */
import { parentPort, workerData } from "node:worker_threads";
import { LingolensError } from "../errors.js";
import { SampleMaker, type SampleMakerOptions } from "./sample.js";
import type { SampleAnswer, SampleTask } from "./sample-pool.js";

const maker = new SampleMaker(workerData as SampleMakerOptions);

parentPort!.on("message", async (task: SampleTask & { readonly id: number }) => {
  const answer = await answerTo(task);
  const made = "result" in answer && "pixelValues" in answer.result ? [answer.result.pixelValues.buffer] : [];
  parentPort!.postMessage({ id: task.id, ...answer }, made as ArrayBuffer[]);
});

async function answerTo(task: SampleTask): Promise<SampleAnswer> {
  try {
    return { result: "sample" in task ? await maker.make(task.sample) : maker.longest(task.lists) };
  } catch (error) {
    const { message } = error as Error;
    return { message, ...(error instanceof LingolensError && { code: error.code }) };
  }
}
