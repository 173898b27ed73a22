/** Names resolved once for many connections: a list of millions of URLs would overwhelm a resolver otherwise. */
import { type LookupAddress, lookup as systemLookup } from "node:dns";
import type { LookupFunction } from "node:net";

export interface DnsCacheOptions {
  /** Default: the system's, which knows its hosts file and takes a thread of libuv's pool each time. */
  readonly lookup?: LookupFunction;
  /** Names resolved at a time. Default 64: some take ten seconds, and others wait for them. */
  readonly concurrency?: number;
  /** Seconds that an answer is good for. Default 600. */
  readonly lifetime?: number;
  /** Names remembered. Default 50,000. */
  readonly capacity?: number;
}

type Answer = { readonly error: NodeJS.ErrnoException } | { readonly addresses: LookupAddress[] };

interface Entry {
  readonly expires: number;
  readonly answer: Promise<Answer>;
}

/** Errors of the resolver rather than of the name are worth asking again soon. */
const PASSING_ERROR_LIFETIME = 1;
const PASSING_ERRORS = new Set(["EAI_AGAIN", "ESERVFAIL", "ETIMEOUT", "ECONNREFUSED"]);

export function cachedLookup(options: DnsCacheOptions = {}): LookupFunction {
  const { lookup = systemLookup, concurrency = 64, lifetime = 600, capacity = 50_000 } = options;
  const entries = new Map<string, Entry>();
  const waiting: (() => void)[] = [];
  let running = 0;

  async function resolve(hostname: string): Promise<Answer> {
    if (running >= concurrency) await new Promise<void>((go) => waiting.push(go));
    else running += 1;
    const answer = await new Promise<Answer>((done) =>
      lookup(hostname, { all: true }, (error, addresses) =>
        done(error ? { error } : { addresses: addresses as LookupAddress[] }),
      ),
    );
    const next = waiting.shift();
    if (next) next();
    else running -= 1;
    return answer;
  }

  function entryOf(hostname: string): Entry {
    const known = entries.get(hostname);
    if (known && known.expires > Date.now()) return known;
    entries.delete(hostname);
    const entry = { answer: resolve(hostname), expires: Number.POSITIVE_INFINITY };
    entries.set(hostname, entry);
    void entry.answer.then((answer) => {
      const passing = "error" in answer && PASSING_ERRORS.has(answer.error.code ?? "");
      entry.expires = Date.now() + 1000 * (passing ? PASSING_ERROR_LIFETIME : lifetime);
    });
    // The oldest goes first.
    if (entries.size > capacity) entries.delete(entries.keys().next().value!);
    return entry;
  }

  return (hostname, settings, callback) => {
    void entryOf(hostname).answer.then((answer) => {
      if ("error" in answer) return callback(answer.error, "");
      const { family } = settings;
      const wanted = answer.addresses.filter(
        (one) => !family || family === `IPv${one.family}` || family === one.family,
      );
      const [first] = wanted;
      if (!first)
        return callback(
          Object.assign(new Error(`${hostname} has no such address`), { code: "ENOTFOUND" }),
          "",
        );
      if (settings.all) return callback(null, wanted);
      callback(null, first.address, first.family);
    });
  };
}
