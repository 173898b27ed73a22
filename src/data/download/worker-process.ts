/** A process of `ProcessWorker`: gets settings once and then shards to make. */
import { LingolensError } from "../../errors.js";
import { Downloader, type RowProgress } from "./downloader.js";
import type { FromWorker, ToWorker } from "./worker-pool.js";

/** Milliseconds between reports of progress. */
const REPORT_EVERY = 250;

let downloader: Downloader | undefined;
let more: RowProgress = { rows: 0, succeeded: 0, bytes: 0 };

function report(): void {
  if (more.rows === 0) return;
  send({ progress: more });
  more = { rows: 0, succeeded: 0, bytes: 0 };
}

function send(message: FromWorker): void {
  if (process.connected) process.send!(message);
}

process.on("message", async (message: ToWorker) => {
  if ("settings" in message) {
    downloader = new Downloader(message.settings);
    return;
  }
  const { index } = message.job;
  try {
    const marker = await downloader!.run(message.job, {
      signal: new AbortController().signal,
      onBegun: () => send({ begun: index }),
      onProgress: ({ rows, succeeded, bytes }) => {
        more = { rows: more.rows + rows, succeeded: more.succeeded + succeeded, bytes: more.bytes + bytes };
      },
    });
    report();
    send({ done: index, marker });
  } catch (error) {
    const { message: text, stack } = error as Error;
    send({
      failed: index,
      message: error instanceof LingolensError ? text : (stack ?? text),
      ...(error instanceof LingolensError && { code: error.code }),
    });
  }
});

setInterval(report, REPORT_EVERY).unref();
// Interrupts are the parent's to deal with; without it there is nobody to work for.
process.on("SIGINT", () => {});
process.on("disconnect", () => process.exit());
