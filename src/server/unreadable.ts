import { type Server, type ServerResponse, STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";
import { closeGently } from "./close-gently.js";
import { HttpError, type ServerErrorCode } from "./http-error.js";

/** What cannot be read, by Node's code; all else is just no HTTP. */
const REASONS: Readonly<Record<string, [ServerErrorCode, string]>> = {
  HPE_HEADER_OVERFLOW: ["headers-too-large", "The request's headers are too large."],
  HPE_CHUNK_EXTENSIONS_OVERFLOW: ["body-too-large", "The extensions of a chunk are too large."],
  ERR_HTTP_REQUEST_TIMEOUT: ["body-timeout", "The request did not come in time."],
};

/**
 * Has a server answer what never becomes a request of its listener: what is no HTTP, or no more within a body, and
 * CONNECT. Node would answer the one and reset the connection, before the answer is read, and drop the other.
 */
export function answerUnreadable(server: Server): void {
  /** Answers under way, which another must not be put into. */
  const answers = new WeakMap<Duplex, ServerResponse>();
  server.on("request", ({ socket }, answer) => answers.set(socket, answer));
  server.on("clientError", ({ code = "" }: NodeJS.ErrnoException, socket) => {
    const answer = answers.get(socket);
    const isBusy = answer?.headersSent && !answer.writableFinished;
    if (isBusy) socket.destroy();
    else if (!socket.writable)
      closeGently(socket, socket); // It may be: then what is left of a body is no HTTP.
    else {
      const [name, message] = REASONS[code] ?? ["bad-request", "This is not valid HTTP."];
      refuse(socket, new HttpError(name, message));
    }
  });
  server.on("connect", (_, socket) =>
    refuse(socket, new HttpError("method-not-allowed", "This server is no proxy.", { allow: "GET, POST" })),
  );
}

function refuse(socket: Duplex, { status, headers, code, message }: HttpError): void {
  const body = JSON.stringify({ error: { code, message } });
  const fields = {
    ...headers,
    "content-type": "application/json",
    "content-length": Buffer.byteLength(body),
    connection: "close",
  };
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.write(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${lines.join("")}\r\n${body}`);
  socket.removeAllListeners("data"); // The parser's, which is at its end.
  closeGently(socket, socket);
}
