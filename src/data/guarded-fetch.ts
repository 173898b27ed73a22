/**
 * Fetches URLs that somebody else wrote. A URL in a caption request or a list of pictures must not reach into our
 * own network: every address is checked as the connection to it is opened, so that neither a redirect nor a name
 * that resolves anew leads elsewhere.
 */
import { lookup } from "node:dns";
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
  | "bad-url";

/** A failed fetch: code `address-refused` for a refused address, else `fetch-failed`. */
export class FetchError extends LingolensError {
  constructor(
    readonly failure: FetchFailure,
    message: string,
    options?: ErrorOptions,
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
}

export interface Fetched {
  /** Where the answer came from in the end. */
  readonly url: string;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly bytes: Uint8Array;
}

/**
 * Gets an http or https URL. Proxy settings of the environment are not used, since a proxy would do the connecting.
 * @throws {FetchError} with its `failure`; {LingolensError} `cancelled` when the caller's signal aborts.
 */
export async function guardedFetch(url: string, options: FetchOptions = {}): Promise<Fetched> {
  throwIfCancelled(options.signal);
  const deadline = options.deadline ?? 30;
  const timeout = AbortSignal.timeout(deadline * 1000);
  const signal = options.signal ? AbortSignal.any([options.signal, timeout]) : timeout;
  try {
    return await followRedirects(url, options, signal);
  } catch (error) {
    throwIfCancelled(options.signal);
    if (timeout.aborted) {
      throw new FetchError("timeout", `${shorten(url)} did not answer in full within ${deadline} s.`, {
        cause: error,
      });
    }
    throw error instanceof FetchError ? error : connectionError(url, error);
  }
}

async function followRedirects(url: string, options: FetchOptions, signal: AbortSignal): Promise<Fetched> {
  const maxRedirects = options.maxRedirects ?? 5;
  const maxBytes = options.maxBytes ?? 64 * 2 ** 20;
  let target = parseUrl(url);
  for (let redirects = 0; ; redirects++) {
    if (!options.allowPrivate) refusePrivateLiteral(target);
    const answer = await request(target, {
      dispatcher: options.allowPrivate ? openAgent : guardedAgent,
      headers: { accept: "image/*,*/*;q=0.8", "user-agent": options.userAgent ?? "lingolens" },
      signal,
    });
    const location = headerOf(answer, "location");
    if (!isRedirect(answer.statusCode) || location === undefined) {
      return { url: target.href, headers: answer.headers, bytes: await readBody(target, answer, maxBytes) };
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
const publicLookup: LookupFunction = (hostname, options, callback) => {
  lookup(hostname, { ...options, all: true }, (error, addresses) => {
    if (error) return callback(error, "");
    const allowed = addresses.filter(({ address }) => isPublicAddress(address));
    const [first] = allowed;
    if (!first) return callback(refusal(hostname, addresses.map(({ address }) => address).join(", ")), "");
    if (options.all) return callback(null, allowed);
    callback(null, first.address, first.family);
  });
};

function refusal(host: string, addresses: string): FetchError {
  return new FetchError(
    "address-refused",
    `${shorten(host)} is not fetched: its address (${shorten(addresses) || "none"}) is not on the public Internet. ` +
      "To fetch from private addresses too, give --allow-private (allowPrivate in the library).",
  );
}

const guardedAgent = new Agent({ connect: { lookup: publicLookup } });
const openAgent = new Agent();

async function readBody(url: URL, answer: Dispatcher.ResponseData, maxBytes: number): Promise<Uint8Array> {
  try {
    if (answer.statusCode < 200 || answer.statusCode > 299) {
      throw new FetchError(
        `http-${answer.statusCode}`,
        `${shorten(url.href)} answered with HTTP ${answer.statusCode}.`,
      );
    }
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
      chunks.push(chunk);
    }
    return Buffer.concat(chunks, size);
  } finally {
    discard(answer);
  }
}

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
  return make ? pipeline(answer.body, make(), () => {}) : answer.body;
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
