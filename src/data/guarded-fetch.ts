/**
 * Fetches URLs that somebody else wrote. A URL in a caption request or a list of pictures must not reach into our
 * own network: every address is checked as the connection to it is opened, so that neither a redirect nor a name
 * that resolves anew leads elsewhere.
 */
import { type LookupAddress, lookup as systemLookup } from "node:dns";
import { isIP, type LookupFunction } from "node:net";
import { pipeline, type Readable } from "node:stream";
import { createBrotliDecompress, createGunzip, createInflate } from "node:zlib";
import { Agent, type Dispatcher, request } from "undici";
import { LingolensError, throwIfCancelled } from "../errors.js";
import { isPublicAddress } from "./public-address.js";

/** Why a fetch failed, in classes that a download can count. */
export type FetchFailure =
  | `http-${number}`
  | "timeout"
  | "connection"
  | "dns"
  | "address-refused"
  | "too-large"
  | "redirects"
  | "bad-url"
  | "opted-out";

/** A failed fetch: code `address-refused` for a refused address, else `fetch-failed`. */
export class FetchError extends LingolensError {
  constructor(
    readonly failure: FetchFailure,
    message: string,
    options?: ErrorOptions,
    /** Seconds after which the host wants to be asked again, where it said so. */
    readonly retryAfter?: number,
  ) {
    super(failure === "address-refused" ? "address-refused" : "fetch-failed", message, options);
  }
}

export interface FetchOptions {
  /** Seconds for everything, from name resolution and redirects to the last byte. Default 30. */
  readonly deadline?: number;
  /** Most bytes of the answer, after decompression. Default 64 MiB. */
  readonly maxBytes?: number;
  /** Most redirects that are followed. Default 5. */
  readonly maxRedirects?: number;
  /** Also connect to private, loopback and other addresses that are not public. Default false. */
  readonly allowPrivate?: boolean;
  /** Default "lingolens". */
  readonly userAgent?: string;
  readonly signal?: AbortSignal;
  /** Whose connections are used. Default: one agent for the whole process. */
  readonly agent?: FetchAgent;
  /** Sees the headers of a good answer before its body is read. What it throws ends the fetch. */
  readonly inspect?: (headers: Headers) => void;
  /** Is told of bytes about to be kept, and may have the fetch wait until there is room for them. */
  readonly reserve?: (bytes: number, signal: AbortSignal) => Promise<void> | undefined;
}

/** Names in lower case. */
export type Headers = Readonly<Record<string, string | string[] | undefined>>;

export interface Fetched {
  /** Where the answer came from in the end. */
  readonly url: string;
  readonly headers: Headers;
  readonly bytes: Uint8Array;
}

export interface FetchAgentOptions {
  /** Resolves names; what it finds is checked all the same. Default: the system's. */
  readonly lookup?: LookupFunction;
  /** Seconds to open a connection in. Default 10. */
  readonly connectTimeout?: number;
}

/** Connections, kept open for the next request to the same host: some to public addresses only, some to any. */
export class FetchAgent {
  readonly #guarded: Agent;
  readonly #open: Agent;

  constructor({ lookup = systemLookup, connectTimeout = 10 }: FetchAgentOptions = {}) {
    const timeout = connectTimeout * 1000;
    this.#guarded = new Agent({ connect: { lookup: publicOnly(lookup), timeout } });
    this.#open = new Agent({ connect: { lookup, timeout } });
  }

  dispatcher(allowPrivate: boolean): Dispatcher {
    return allowPrivate ? this.#open : this.#guarded;
  }

  async close(): Promise<void> {
    await Promise.all([this.#guarded.destroy(), this.#open.destroy()]);
  }
}

/**
 * Gets an http or https URL. Proxy settings of the environment are not used, since a proxy would do the connecting.
 * @throws {FetchError} with its `failure`; {LingolensError} `cancelled` when the caller's signal aborts.
 */
export async function guardedFetch(url: string, options: FetchOptions = {}): Promise<Fetched> {
  throwIfCancelled(options.signal);
  const deadline = options.deadline ?? 30;
  // A timer and a listener of our own: signals put together by AbortSignal.any outlive millions of fetches.
  const controller = new AbortController();
  const abort = () => controller.abort();
  const timer = setTimeout(abort, deadline * 1000);
  options.signal?.addEventListener("abort", abort);
  try {
    return await followRedirects(url, options, controller.signal);
  } catch (error) {
    throwIfCancelled(options.signal);
    if (controller.signal.aborted) {
      throw new FetchError("timeout", `${shorten(url)} did not answer in full within ${deadline} s.`, {
        cause: error,
      });
    }
    throw error instanceof FetchError ? error : connectionError(url, error);
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener("abort", abort);
  }
}

async function followRedirects(url: string, options: FetchOptions, signal: AbortSignal): Promise<Fetched> {
  const maxRedirects = options.maxRedirects ?? 5;
  const maxBytes = options.maxBytes ?? 64 * 2 ** 20;
  const allowPrivate = options.allowPrivate ?? false;
  const dispatcher = (options.agent ?? sharedAgent).dispatcher(allowPrivate);
  let target = parseUrl(url);
  for (let redirects = 0; ; redirects++) {
    if (!allowPrivate) refusePrivateLiteral(target);
    const answer = await request(target, {
      dispatcher,
      headers: { accept: "image/*,*/*;q=0.8", "user-agent": options.userAgent ?? "lingolens" },
      signal,
    });
    const location = headerOf(answer, "location");
    if (!isRedirect(answer.statusCode) || location === undefined) {
      const bytes = await readBody(target, answer, maxBytes, options, signal);
      return { url: target.href, headers: answer.headers, bytes };
    }
    discard(answer);
    if (redirects === maxRedirects) {
      throw new FetchError("redirects", `${shorten(url)} redirects more than ${maxRedirects} times.`);
    }
    target = parseUrl(location, target);
  }
}

function isRedirect(status: number): boolean {
  return status === 301 || status === 302 || status === 303 || status === 307 || status === 308;
}

function parseUrl(text: string, base?: URL): URL {
  const from = base ? `, to which ${shorten(base.href)} redirects,` : "";
  if (!URL.canParse(text, base)) {
    throw new FetchError("bad-url", `${shorten(text)}${from} is not a valid URL.`);
  }
  const url = new URL(text, base);
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    throw new FetchError("bad-url", `${shorten(text)}${from} is not fetched: only http and https URLs are.`);
  }
  return url;
}

/** Addresses written into the URL are connected to without a lookup. The URL parser has made all spellings one. */
function refusePrivateLiteral(url: URL): void {
  const host = url.hostname.replace(/^\[|\]$/g, "");
  if (isIP(host) !== 0 && !isPublicAddress(host)) throw refusal(url.hostname, host);
}

/** Resolves a name for a connection about to be opened, which then goes to the very addresses checked here. */
function publicOnly(lookup: LookupFunction): LookupFunction {
  return (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, (error, found) => {
      if (error) return callback(error, "");
      const addresses = found as LookupAddress[];
      const allowed = addresses.filter(({ address }) => isPublicAddress(address));
      const [first] = allowed;
      if (!first) return callback(refusal(hostname, addresses.map(({ address }) => address).join(", ")), "");
      if (options.all) return callback(null, allowed);
      callback(null, first.address, first.family);
    });
  };
}

function refusal(host: string, addresses: string): FetchError {
  return new FetchError(
    "address-refused",
    `${shorten(host)} is not fetched: its address (${shorten(addresses) || "none"}) is not on the public Internet. ` +
      "To fetch from private addresses too, give --allow-private (allowPrivate in the library).",
  );
}

const sharedAgent = new FetchAgent();

async function readBody(
  url: URL,
  answer: Dispatcher.ResponseData,
  maxBytes: number,
  { inspect, reserve }: Pick<FetchOptions, "inspect" | "reserve">,
  signal: AbortSignal,
): Promise<Uint8Array> {
  try {
    if (answer.statusCode < 200 || answer.statusCode > 299) {
      throw new FetchError(
        `http-${answer.statusCode}`,
        `${shorten(url.href)} answered with HTTP ${answer.statusCode}.`,
        undefined,
        secondsIn(headerOf(answer, "retry-after")),
      );
    }
    inspect?.(answer.headers);
    const tooLarge = () =>
      new FetchError(
        "too-large",
        `${shorten(url.href)} has more than the ${maxBytes} bytes that are fetched.`,
      );
    if (Number(headerOf(answer, "content-length")) > maxBytes) throw tooLarge();
    const chunks: Buffer[] = [];
    let size = 0;
    for await (const chunk of decompressed(answer)) {
      size += chunk.length;
      if (size > maxBytes) throw tooLarge();
      const wait = reserve?.(chunk.length, signal);
      if (wait) await wait;
      chunks.push(chunk);
    }
    return Buffer.concat(chunks, size);
  } finally {
    discard(answer);
  }
}

/** A date, the header's other form, is not read. */
function secondsIn(text: string | undefined): number | undefined {
  return text !== undefined && /^\s*\d{1,6}\s*$/.test(text) ? Number(text) : undefined;
}

/** Each piece takes a thread of libuv's pool, behind whatever else waits for one. */
const DECOMPRESSED_BYTES = 2 ** 18;

/** We ask for no compression, but some servers compress all they send. */
function decompressed(answer: Dispatcher.ResponseData): Readable {
  const encoding = headerOf(answer, "content-encoding")?.trim().toLowerCase();
  const make = {
    gzip: createGunzip,
    "x-gzip": createGunzip,
    deflate: createInflate,
    br: createBrotliDecompress,
  }[encoding ?? ""];
  // An error of the body reaches the reader through the decompressor, which the pipeline destroys with it.
  return make ? pipeline(answer.body, make({ chunkSize: DECOMPRESSED_BYTES }), () => {}) : answer.body;
}

/** Gives up what is left unread, and the connection with it. */
function discard(answer: Dispatcher.ResponseData): void {
  answer.body.on("error", () => {}).destroy();
}

function headerOf(answer: Dispatcher.ResponseData, name: string): string | undefined {
  const value = answer.headers[name];
  return Array.isArray(value) ? value[0] : value;
}

const DNS_ERRORS = new Set([
  "ENOTFOUND",
  "EAI_AGAIN",
  "EAI_FAIL",
  "EAI_NODATA",
  "EAI_NONAME",
  "ENODATA",
  "ESERVFAIL",
]);
const TIMEOUTS = new Set([
  "ETIMEDOUT",
  "UND_ERR_CONNECT_TIMEOUT",
  "UND_ERR_HEADERS_TIMEOUT",
  "UND_ERR_BODY_TIMEOUT",
]);

function connectionError(url: string, error: unknown): FetchError {
  const { code = "", message = "" } = error as { code?: string; message?: string };
  const failure = DNS_ERRORS.has(code) ? "dns" : TIMEOUTS.has(code) ? "timeout" : "connection";
  const what = {
    dns: "its name does not resolve",
    timeout: "it timed out",
    connection: "the connection failed",
  };
  const reason = message || code || String(error);
  return new FetchError(failure, `${shorten(url)} could not be fetched: ${what[failure]} (${reason}).`, {
    cause: error,
  });
}

/** URLs may be of any length; messages may not. */
function shorten(text: string): string {
  return text.length > 200 ? `${text.slice(0, 200)}…` : text;
}
