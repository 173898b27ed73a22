import { createHash, randomBytes, randomUUID } from "node:crypto";
import type { HttpBindings } from "@hono/node-server";
import { clientAddress, givenKey } from "./clients.js";
import { HttpError } from "./http-error.js";
import type { ServerSettings } from "./settings.js";

/** Makes the names of clients in the log meaningless outside of this process' log. */
const salt = randomBytes(16);

/** Seconds after its deadline at which a client that does not read its answer is cut off. */
const GRACE = 10;

/** A request in hand: who asks, and the signal that its work goes by. */
export class RequestContext {
  readonly id = randomUUID();
  /** The key that was shown, right or wrong. */
  readonly key: string | undefined;
  /** Who asks, for fairness and limits. */
  readonly client: string;
  /** Shown in the log. */
  pictures = 0;
  readonly #since = performance.now();
  readonly #work = new AbortController();
  readonly #timers: readonly NodeJS.Timeout[];

  constructor(
    private readonly http: HttpBindings,
    { apiKeys, trustProxy, deadline }: ServerSettings,
  ) {
    const { headers, socket } = http.incoming;
    const header = (name: string): string | undefined => headers[name]?.toString();
    this.key = givenKey(header("authorization"), header("x-api-key"));
    const address = clientAddress(socket.remoteAddress, header("x-forwarded-for"), trustProxy);
    this.client = apiKeys.length > 0 ? `key ${this.key}` : address;
    this.#timers = [
      setTimeout(() => this.stop(late(deadline)), deadline * 1000),
      setTimeout(() => socket.destroy(), (deadline + GRACE) * 1000),
    ];
  }

  /** Aborts at the deadline, when the client leaves, and when the server gives up. */
  get signal(): AbortSignal {
    return this.#work.signal;
  }

  stop(reason: HttpError): void {
    this.#work.abort(reason);
  }

  /** For an answer whose size sets how long it takes: it has no deadline. */
  takeTime(): void {
    for (const timer of this.#timers) clearTimeout(timer);
  }

  /** To be called once the answer is out or the connection gone; what the log says of the request. */
  end() {
    this.takeTime();
    const { incoming, outgoing } = this.http;
    if (!outgoing.writableFinished) this.stop(new HttpError("client-left", "The connection was closed."));
    return {
      id: this.id,
      method: incoming.method ?? "",
      status: outgoing.writableFinished ? outgoing.statusCode : 499,
      milliseconds: Math.round(performance.now() - this.#since),
      client: createHash("sha256").update(salt).update(this.client).digest("hex").slice(0, 8),
      ...(this.pictures > 0 && { pictures: this.pictures }),
    };
  }
}

function late(deadline: number): HttpError {
  return new HttpError("deadline-exceeded", `The answer was not ready within ${deadline} s.`);
}
