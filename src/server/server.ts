import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { type AddressInfo, Server as Listener } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { getRequestListener } from "@hono/node-server";
import { LingolensError } from "../errors.js";
import { App, type AppParts } from "./app.js";
import { gentlyClosed } from "./close-gently.js";
import { answerUnreadable } from "./unreadable.js";

export interface RunningServer {
  /** Where it listens, such as "http://127.0.0.1:8080". */
  readonly url: string;
  /**
   * Answers what was accepted, refuses what comes now, then closes.
   * @returns whether all that was accepted was answered before the deadline
   */
  close(): Promise<boolean>;
}

/** Milliseconds for requests that clients sent before they could know that nobody listens any more. */
const LAST_REQUESTS = 1000;

/** Milliseconds without a newcomer after which nobody is thought to be on the way; and for which that is waited at most. */
const SILENCE = 50;
const LONGEST_NOISE = 500;

/** Connections beyond these are closed at once. */
const MAX_CONNECTIONS = 4096;

/**
 * Serves the API and the page.
 * @param host name or address to listen on
 * @param port 0 for any that is free
 * @throws {LingolensError} `option-unsupported` where it cannot listen there
 */
export async function startServer(
  parts: AppParts,
  { host, port }: { readonly host: string; readonly port: number },
): Promise<RunningServer> {
  const app = new App(parts);
  const { bodyTimeout, shutdownDeadline } = parts.settings;
  const server = createServer(
    {
      headersTimeout: 15_000,
      // Bodies have a timeout of their own, whose answer says more; this one is behind it.
      requestTimeout: (bodyTimeout + 15) * 1000,
      connectionsCheckingInterval: 2000,
      // Longer than proxies keep idle connections, so that they never send on one that is being closed.
      keepAliveTimeout: 65_000,
    },
    getRequestListener(app.fetch, { overrideGlobalObjects: false }),
  );
  server.maxConnections = MAX_CONNECTIONS;
  answerUnreadable(server);
  try {
    server.listen(port, host);
    await once(server, "listening");
  } catch (error) {
    throw new LingolensError(
      "option-unsupported",
      `The server cannot listen on ${host}, port ${port}: ${(error as Error).message}. Name another with --host or --port.`,
      { cause: error },
    );
  }
  const { address, family, port: actualPort } = server.address() as AddressInfo;
  return {
    url: `http://${family === "IPv6" ? `[${address}]` : address}:${actualPort}`,
    async close() {
      const answered = await app.drain(shutdownDeadline);
      const closed = once(server, "close");
      // Connections that the system has and Node has not yet are reset when the listener closes. There are none of clients
      // that wait for an answer.
      const letGo = app.holdRefusals();
      await silence(server, "connection");
      Listener.prototype.close.call(server); // The server's own would cut clients off that are about to send.
      letGo();
      await Promise.race([closed, silence(server, "request")]);
      server.close();
      // Requests that were on their way are refused, too, and who still sends can read why.
      await Promise.race([closed, delay(LAST_REQUESTS, undefined, { ref: false })]);
      await Promise.race([closed, gentlyClosed()]);
      server.closeAllConnections();
      await closed;
      return answered;
    },
  };
}

/** Waits until there was no such event for a while. */
function silence(server: Server, event: "connection" | "request"): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(silent);
      clearTimeout(latest);
      server.off(event, wait);
      resolve();
    };
    const silent = setTimeout(end, SILENCE);
    const latest = setTimeout(end, LONGEST_NOISE);
    const wait = (): void => void silent.refresh();
    server.on(event, wait);
  });
}
