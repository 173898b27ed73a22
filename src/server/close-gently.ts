import { once } from "node:events";
import type { Duplex, Readable } from "node:stream";

/** Milliseconds that a client is listened to after its last answer, at most; and of silence, at most. */
const LONGEST = 5000;
const LONGEST_SILENCE = 1000;

/** Connections that are being ended so. */
const closing = new Set<Duplex>();

/**
 * Ends a connection whose client may still be sending, in such a way that the client can read the last answer: what it
 * sends is read and thrown away for a while. Closed at once, the connection would be reset, and a client that is told of
 * that while it sends never looks at the answer.
 * @param rest what the client sends: the request's body, or the socket itself where nobody else reads it
 */
export function closeGently(socket: Duplex, rest: Readable): void {
  if (closing.has(socket)) return;
  closing.add(socket);
  const close = (): void => void socket.destroy();
  const last = setTimeout(close, LONGEST);
  const silence = setTimeout(close, LONGEST_SILENCE);
  rest.on("data", () => silence.refresh());
  rest.once("end", close);
  rest.resume();
  socket.on("error", () => {}); // "close" follows.
  socket.once("close", () => {
    closing.delete(socket);
    clearTimeout(last);
    clearTimeout(silence);
  });
  socket.end();
}

/** Waits until the clients of all connections that are being ended have had their time. */
export async function gentlyClosed(): Promise<void> {
  await Promise.all([...closing].map((socket) => once(socket, "close")));
}
