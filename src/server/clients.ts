import { createHash, timingSafeEqual } from "node:crypto";
import { isIPv6 } from "node:net";
import { HttpError } from "./http-error.js";

/** Looks at each key in full, so that the time it takes tells nothing of how much of a key was right. */
export function keyChecker(keys: readonly string[]): (given: string | undefined) => boolean {
  const digests = keys.map(digest);
  return (given) => {
    if (given === undefined) return false;
    const own = digest(given);
    return digests.map((key) => timingSafeEqual(key, own)).includes(true);
  };
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

/** The key in `Authorization: Bearer KEY` or `X-API-Key: KEY`. */
export function givenKey(authorization = "", xApiKey?: string): string | undefined {
  const [, bearer] = /^bearer +(\S+) *$/i.exec(authorization) ?? [];
  return bearer ?? xApiKey;
}

/**
 * Who a client is, for fairness and limits: its address, of IPv6 the half that names its network. A proxy appends to
 * X-Forwarded-For whom it saw, so only the last entry is not the client's own word.
 */
export function clientAddress(
  remoteAddress: string | undefined,
  forwardedFor: string | undefined,
  trustProxy: boolean,
): string {
  const forwarded = trustProxy ? forwardedFor?.split(",").at(-1)?.trim() : undefined;
  const address = (forwarded || remoteAddress || "unknown").replace(/^::ffff:/i, "");
  if (!isIPv6(address)) return address.slice(0, 64);
  const expanded = new URL(`http://[${address.replace(/%.*$/, "")}]`).hostname.slice(1, -1);
  const [head = "", tail] = expanded.split("::");
  const groups = head === "" ? [] : head.split(":");
  const after = tail ? tail.split(":") : [];
  if (tail !== undefined) groups.push(...Array<string>(8 - groups.length - after.length).fill("0"), ...after);
  return `${groups.slice(0, 4).join(":")}::/64`;
}

/** Each client may send so many requests a minute, at once or spread out. */
export class RateLimiter {
  /** Tokens left and when they were counted, by client; the longest unseen stand first. */
  readonly #buckets = new Map<string, { tokens: number; at: number }>();

  constructor(
    private readonly perMinute: number,
    private readonly now: () => number = () => performance.now(),
  ) {}

  /** @throws {HttpError} `rate-limited` */
  take(client: string): void {
    if (this.perMinute === 0) return;
    const perMillisecond = this.perMinute / 60_000;
    const at = this.now();
    const before = this.#buckets.get(client) ?? { tokens: this.perMinute, at };
    const tokens = Math.min(this.perMinute, before.tokens + (at - before.at) * perMillisecond);
    this.#buckets.delete(client);
    this.#buckets.set(client, { tokens: tokens >= 1 ? tokens - 1 : tokens, at });
    this.#forget(at - 60_000);
    if (tokens >= 1) return;
    const seconds = Math.ceil((1 - tokens) / perMillisecond / 1000);
    throw new HttpError(
      "rate-limited",
      `This client may send ${this.perMinute} requests a minute; try again in ${seconds} s.`,
      { "retry-after": String(seconds) },
    );
  }

  /** Who was not seen for a minute has all tokens again. */
  #forget(before: number): void {
    for (const [client, { at }] of this.#buckets) {
      if (at > before) return;
      this.#buckets.delete(client);
    }
  }
}
