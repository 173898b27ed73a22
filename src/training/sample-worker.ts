/** A thread of the `SamplePool`. */
import { parentPort, workerData } from "node:worker_threads";
import { LingolensError } from "../errors.js";
import { type Sample, SampleMaker, type SampleMakerOptions } from "./sample.js";
import type { SampleAnswer } from "./sample-pool.js";

const maker = new SampleMaker(workerData as SampleMakerOptions);

parentPort!.on("message", async ({ id, sample }: { id: number; sample: Sample }) => {
  const answer = await answerTo(id, sample);
  const transferred = "made" in answer ? [answer.made.pixelValues.buffer as ArrayBuffer] : [];
  parentPort!.postMessage(answer, transferred);
});

async function answerTo(id: number, sample: Sample): Promise<SampleAnswer> {
  try {
    return { id, made: await maker.make(sample) };
  } catch (error) {
    const { message } = error as Error;
    return { id, message, ...(error instanceof LingolensError && { code: error.code }) };
  }
}
