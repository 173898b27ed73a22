import type { IncomingMessage } from "node:http";
import { HttpError } from "./http-error.js";

export interface BodyLimits {
  readonly maxBytes: number;
  /** Seconds. */
  readonly timeout: number;
  readonly signal: AbortSignal;
}

/** Memory that all bodies share: taken before a body is read, given back when its request is done with it. */
export class BodyBudget {
  #used = 0;

  constructor(private readonly most: number) {}

  get used(): number {
    return this.#used;
  }

  /**
   * Takes as much as the body says that it has, or may have where it does not.
   * @returns gives it back; idempotent
   * @throws {HttpError} `body-too-large`, `overloaded`
   */
  take(contentLength: string | undefined, maxBytes: number): () => void {
    const bytes = contentLength === undefined ? maxBytes : Number(contentLength);
    if (bytes > maxBytes) throw tooLarge(maxBytes);
    if (this.#used + bytes > this.most) {
      const message = "The server has as many uploads in hand as it can hold; try again in a moment.";
      throw new HttpError("overloaded", message, { "retry-after": "2" });
    }
    this.#used += bytes;
    let given = false;
    return () => {
      if (!given) this.#used -= bytes;
      given = true;
    };
  }
}

/**
 * Reads a request's body. The stream is left as it is on errors, so that there still can be an answer.
 * @throws {HttpError} `body-too-large`, `body-timeout`, `client-left`; the signal's reason
 */
export function readBody(incoming: IncomingMessage, limits: BodyLimits): Promise<Buffer> {
  const { maxBytes, timeout, signal } = limits;
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const finish = (settle: () => void): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
      incoming.off("data", onData).off("end", onEnd).off("close", onClose);
      settle();
    };
    const fail = (error: unknown): void => {
      incoming.pause();
      finish(() => reject(error));
    };
    const onData = (chunk: Buffer): void => {
      size += chunk.length;
      if (size > maxBytes) fail(tooLarge(maxBytes));
      else chunks.push(chunk);
    };
    const onEnd = (): void => finish(() => resolve(Buffer.concat(chunks, size)));
    const onClose = (): void =>
      fail(new HttpError("client-left", "The connection was closed before the body had come."));
    const onAbort = (): void => fail(signal.reason);
    const timer = setTimeout(
      () => fail(new HttpError("body-timeout", `The body did not come within ${timeout} s.`)),
      timeout * 1000,
    );
    incoming.on("error", () => {}); // "close" follows.
    incoming.on("data", onData).on("end", onEnd).on("close", onClose);
    signal.addEventListener("abort", onAbort, { once: true });
    if (signal.aborted) onAbort();
  });
}

function tooLarge(maxBytes: number): HttpError {
  return new HttpError("body-too-large", `At most ${maxBytes} bytes are taken in a request's body.`);
}
