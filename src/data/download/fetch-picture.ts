/** Fetches one picture after another from many hosts: politely, and with patience that ends. */
import { setTimeout as sleep } from "node:timers/promises";
import { throwIfCancelled } from "../../errors.js";
import { FetchAgent, FetchError, guardedFetch } from "../guarded-fetch.js";
import { cachedLookup, type DnsCacheOptions } from "./dns-cache.js";
import { AdaptiveLimit, HostLimit, type Lease, Room, type Strain } from "./limits.js";
import { isPassing } from "./loss.js";
import { isOptedOut } from "./robots-tag.js";

export interface FetchRules {
  /** Pictures fetched at a time. */
  readonly concurrency: number;
  /** Of them from one host. */
  readonly perHost: number;
  /** Seconds for a picture, all attempts and pauses between them taken together. */
  readonly deadline: number;
  /** Bytes of a file, at most. */
  readonly maxBytes: number;
  readonly maxRedirects: number;
  readonly allowPrivate: boolean;
  /** Whether pictures are taken that ask by X-Robots-Tag not to be. */
  readonly ignoreOptOut: boolean;
  readonly userAgent: string;
}

export const DEFAULT_FETCH_RULES: Omit<FetchRules, "userAgent"> = {
  concurrency: 128,
  perHost: 8,
  deadline: 30,
  maxBytes: 16 * 2 ** 20,
  maxRedirects: 5,
  allowPrivate: false,
  ignoreOptOut: false,
};

/** What lines of X-Robots-Tag call us. */
const AGENT_NAME = "lingolens";

/** Memory for answers that are being read or wait to be decoded. */
const ANSWER_BYTES = 64 * 2 ** 20;

export interface FetchedPicture {
  readonly bytes: Uint8Array;
  /** To be called when the bytes are no longer needed. */
  release(): void;
}

export class PictureFetcher {
  readonly #agent: FetchAgent;
  readonly #requests: AdaptiveLimit;
  readonly #hosts: HostLimit;
  readonly #room = new Room(ANSWER_BYTES);

  constructor(
    private readonly rules: FetchRules,
    dns: DnsCacheOptions = {},
  ) {
    this.#agent = new FetchAgent({ lookup: cachedLookup(dns) });
    this.#requests = new AdaptiveLimit(rules.concurrency);
    this.#hosts = new HostLimit(rules.perHost);
  }

  /**
   * @param onStart called when the first request is made
   * @throws {FetchError}; {LingolensError} `cancelled`
   */
  async fetch(url: string, onStart: () => void, signal: AbortSignal): Promise<FetchedPicture> {
    const host = URL.canParse(url) ? new URL(url).host : "";
    let left = this.rules.deadline;
    for (let attempt = 1; ; attempt++) {
      let started = 0;
      try {
        return await this.#hosts.run(host, () =>
          this.#requests.run(() => {
            if (attempt === 1) onStart();
            started = performance.now();
            return this.#request(url, left, signal);
          }),
        );
      } catch (error) {
        if (!(error instanceof FetchError)) throw error;
        left -= (performance.now() - started) / 1000;
        const pause = secondsBeforeRetry(error);
        if (error.failure === "http-429" || error.failure === "http-503")
          this.#hosts.pause(host, Math.min(1000 * (pause ?? 0), 1000 * this.rules.deadline));
        if (attempt === 2 || pause === undefined || pause >= left) throw error;
        left -= pause;
        await sleep(1000 * pause, undefined, { signal }).catch(() => throwIfCancelled(signal));
      }
    }
  }

  async #request(url: string, deadline: number, signal: AbortSignal): Promise<FetchedPicture> {
    const lease: Lease = this.#room.lease();
    try {
      const { bytes } = await guardedFetch(url, {
        ...this.rules,
        deadline,
        signal,
        agent: this.#agent,
        reserve: lease.take,
        inspect: (headers) => {
          if (this.rules.ignoreOptOut || !isOptedOut(headers["x-robots-tag"], AGENT_NAME)) return;
          throw new FetchError("opted-out", "The picture's X-Robots-Tag asks not to be used.");
        },
      });
      this.#requests.report("none");
      return { bytes, release: lease.release };
    } catch (error) {
      lease.release();
      if (error instanceof FetchError) this.#requests.report(strainOf(error));
      throw error;
    }
  }

  close(): Promise<void> {
    return this.#agent.close();
  }
}

const EXHAUSTED = new Set(["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM", "EADDRNOTAVAIL", "EAI_AGAIN"]);

function strainOf(error: FetchError): Strain {
  if (EXHAUSTED.has(codeOf(error))) return "exhausted";
  return error.failure === "timeout" ? "unanswered" : "none";
}

/** Seconds, or undefined for what is no better the second time. */
function secondsBeforeRetry(error: FetchError): number | undefined {
  const { failure, retryAfter } = error;
  // Of names that do not resolve, only those whose server did not answer.
  if (!isPassing(failure) || (failure === "dns" && codeOf(error) !== "EAI_AGAIN")) return undefined;
  if (retryAfter !== undefined) return retryAfter;
  // Not all at the same moment.
  const jitter = 0.75 + Math.random() / 2;
  if (failure === "connection") return 0.5 * jitter;
  return (failure === "http-429" || failure === "dns" ? 2 : 1) * jitter;
}

function codeOf({ cause }: FetchError): string {
  return (cause as { code?: string } | undefined)?.code ?? "";
}
