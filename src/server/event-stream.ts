import type { Context } from "hono";
import { streamSSE } from "hono/streaming";
import type { StreamEvent } from "./caption-service.js";
import { errorAnswer } from "./http-error.js";

/**
 * Answers with server-sent events. Work does not wait for a client that reads slowly: of partial captions that were
 * not sent yet, only the latest of each picture and language is kept.
 * @param onError told of errors, which become events of the stream
 */
export function streamEvents(
  c: Context,
  work: (emit: (event: StreamEvent) => void) => Promise<void>,
  onError: (error: unknown) => void,
): Response {
  // nginx collects answers otherwise.
  c.header("x-accel-buffering", "no");
  return streamSSE(c, async (stream) => {
    const waiting = new Map<string, { event: string; data: string }>();
    let wake = (): void => {};
    let finished = false;
    let results = 0;
    const put = (key: string, event: string, data: unknown): void => {
      waiting.delete(key);
      waiting.set(key, { event, data: JSON.stringify(data) });
      wake();
    };
    const working = work(({ event, data }) => {
      const key = event === "partial" ? JSON.stringify([data.image, data.lang]) : String(results++);
      put(key, event, data);
    })
      .then(() => put("end", "done", {}))
      .catch((error) => {
        onError(error);
        put("end", "error", errorAnswer(error).error);
      })
      .finally(() => {
        finished = true;
        wake();
      });
    while (!stream.aborted && (!finished || waiting.size > 0)) {
      const [next] = waiting;
      if (next) {
        waiting.delete(next[0]);
        await stream.writeSSE(next[1]);
      } else
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
    }
    await working;
  });
}
