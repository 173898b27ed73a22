/** Requests to the hub: where it is, who asks, and what its refusals mean. */
import { Agent, EnvHttpProxyAgent, fetch as undiciFetch } from "undici";
import { LingolensError, throwIfCancelled } from "../../errors.js";
import type { HubReference } from "./reference.js";

export interface HubConnection {
  /** The hub's address, without a slash at its end. */
  readonly endpoint: string;
  /**
   * `fetch` with the token for the hub, and proxies from the environment. Only a good answer is returned.
   * @throws {LingolensError} `file-not-found` for an unknown model or revision, `fetch-failed`, `cancelled`
   */
  readonly fetch: typeof fetch;
}

/** Seconds without a byte after which a connection counts as broken. */
const SILENCE = 60;

/** The error for an answer that is not a good one. */
export type Refusal = (
  reference: HubReference,
  url: URL,
  answer: Response,
  hasToken: boolean,
) => LingolensError;

/**
 * A connection for requests about one model. Follows HF_ENDPOINT and HF_TOKEN.
 * @param refusal Default: for one who reads the model.
 * @throws {LingolensError} `option-unsupported` when one of the two is malformed
 */
export function connectToHub(
  reference: HubReference,
  signal?: AbortSignal,
  refusal: Refusal = readingRefused,
): HubConnection {
  const endpoint = hubEndpoint();
  const token = hubToken();
  const { origin } = new URL(endpoint);
  const limits = { headersTimeout: SILENCE * 1000, bodyTimeout: SILENCE * 1000 };
  const dispatcher = usesProxy() ? new EnvHttpProxyAgent(limits) : new Agent(limits);

  const hubFetch = async (input: string | URL | Request, init: RequestInit = {}): Promise<Response> => {
    const url = new URL(input instanceof Request ? input.url : input);
    const headers = new Headers(init.headers);
    headers.set("user-agent", "lingolens");
    // The hub's lists name the address of their next page, so not every request needs to be to the hub. When it
    // redirects to another origin, fetch itself leaves the header behind.
    if (token && url.origin === origin) headers.set("authorization", `Bearer ${token}`);
    const options = { ...init, headers: [...headers], dispatcher, ...(signal && { signal }) };
    let answer: Response;
    try {
      answer = (await undiciFetch(url, options as object)) as unknown as Response;
    } catch (cause) {
      throwIfCancelled(signal);
      throw connectionFailed(url, cause);
    }
    if (answer.ok) return answer;
    await answer.body?.cancel();
    throw refusal(reference, url, answer, token !== undefined);
  };
  return { endpoint, fetch: hubFetch };
}

function hubEndpoint(): string {
  const text = (process.env.HF_ENDPOINT || "https://huggingface.co").replace(/\/+$/, "");
  const url = URL.canParse(text) ? new URL(text) : undefined;
  // Not shown: it may hold a password.
  if (!url || !/^https?:$/.test(url.protocol) || url.username || url.password)
    throw new LingolensError(
      "option-unsupported",
      "HF_ENDPOINT: expected the http(s) address of a hub, without user and password. Correct or unset it.",
    );
  return text;
}

/** @throws {LingolensError} `option-unsupported` when it is malformed */
export function hubToken(): string | undefined {
  const token = process.env.HF_TOKEN?.trim();
  if (!token) return undefined;
  if (/^[\x21-\x7e]+$/.test(token)) return token;
  throw new LingolensError(
    "option-unsupported",
    "HF_TOKEN holds characters that no token of the hub has. Correct or unset it.",
  );
}

function usesProxy(): boolean {
  return ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"].some((name) => process.env[name]);
}

/** The error for a connection that could not be made, or broke. */
export function connectionFailed(url: URL, error: unknown): LingolensError {
  // fetch says "fetch failed" and hides the reason in its cause.
  const { message, code, cause } = error as NodeJS.ErrnoException & { cause?: NodeJS.ErrnoException };
  const reason = cause?.message || cause?.code || message || code;
  return new LingolensError(
    "fetch-failed",
    `${shown(url)} could not be fetched: ${reason}. Check the connection and the proxy settings, and run the same again: ` +
      "what was fetched is kept. A model that was fetched before works without a connection (--offline).",
    { cause: error },
  );
}

/** Without a query, which may hold what is nobody's business. */
function shown({ origin, pathname }: URL): string {
  return origin + pathname;
}

function readingRefused(
  { name, revision }: HubReference,
  url: URL,
  answer: Response,
  hasToken: boolean,
): LingolensError {
  const { status } = answer;
  const page = `${url.origin}/${name}`;
  switch (answer.headers.get("x-error-code")) {
    case "RevisionNotFound":
      return new LingolensError(
        "file-not-found",
        `${name} on ${url.host} has no revision "${revision}". Its branches and commits are listed at ${page}.`,
      );
    case "GatedRepo":
      return new LingolensError(
        "fetch-failed",
        `${name} is given only to those who accept its conditions. Accept them at ${page}, and set HF_TOKEN to a ` +
          "token of your account that may read it.",
      );
  }
  // The hub answers 401 for models that it has not, so as not to tell which private ones it has.
  if (status === 401 || status === 404)
    return new LingolensError(
      "file-not-found",
      `There is no folder ${name}, and no model of that name on ${url.host} that can be read ` +
        `${hasToken ? "with the HF_TOKEN that is set" : "without a token"} (status ${status}). Check the spelling; for ` +
        "a private model, set HF_TOKEN to a token that may read it.",
    );
  const advice =
    status === 403
      ? "Set HF_TOKEN to a token that may read it."
      : status === 429
        ? "That is too many requests: wait some minutes, or set HF_TOKEN."
        : "Try again later: what was fetched is kept.";
  return new LingolensError("fetch-failed", `${shown(url)} answered with status ${status}. ${advice}`);
}
