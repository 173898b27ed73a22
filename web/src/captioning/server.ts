import { readStored, writeStored } from "../settings/use-stored.js";
import {
  type Caption,
  type Captioning,
  captionOptions,
  Failure,
  type Model,
  type Request,
} from "./caption.js";
import { readEvents } from "./event-stream.js";

/** Under which the device remembers what the server said of its model. */
const MODEL = "model";

/** Times that a busy server is asked again, and the longest wait in seconds before that. */
const RETRIES = 5;
const LONGEST_WAIT = 15;

interface Models {
  /** Whether the server translates captions into English. */
  readonly translations: boolean;
  readonly models: readonly (Omit<Model, "languages"> & {
    readonly languages: readonly { readonly code: string }[];
  })[];
}

/** What an event of the stream can hold, by its name. */
interface Events {
  readonly partial: { readonly lang: string; readonly text: string };
  readonly result:
    | { readonly lang: string; readonly captions: readonly Caption[] }
    | { readonly error: ErrorDetail };
  readonly error: ErrorDetail;
}

interface ErrorDetail {
  readonly code: string;
  readonly message: string;
}

/**
 * The captions of the server that the page came from.
 * @param key that the server may ask for
 * @throws {Failure} `unreachable`, `unauthorized`
 */
export async function connectServer(key: string | undefined): Promise<Captioning> {
  const { model, translates } = await fetchModel(key);
  return {
    model,
    describe: (request) => describe(request, key),
    ...(translates && { translate: (...asked) => translate(key, ...asked) }),
  };
}

/** What the server says of its model; without network, what it said last: the model may be on the device. */
async function fetchModel(key: string | undefined): Promise<{ model: Model; translates: boolean }> {
  try {
    const response = await ask("v1/models", { headers: keyHeader(key) });
    const { models, translations } = (await response.json()) as Models;
    const [model] = models;
    const known = { ...model!, languages: model!.languages.map(({ code }) => code) };
    writeStored(MODEL, known);
    return { model: known, translates: translations };
  } catch (error) {
    const kept = readStored(MODEL);
    if (kept && error instanceof Failure && error.code === "unreachable")
      return { model: kept as Model, translates: false };
    throw error;
  }
}

async function describe(request: Request, key: string | undefined): Promise<void> {
  const { picture, languages, settings, signal, onPartial, onCaptions } = request;
  const form = new FormData();
  form.append("image", picture, "picture");
  form.append("lang", languages.join(","));
  for (const [name, value] of Object.entries(captionOptions(settings))) form.append(name, String(value));
  const response = await ask("v1/captions/stream", {
    method: "POST",
    headers: keyHeader(key),
    body: form,
    signal,
  });
  const missing = new Set(languages);
  for await (const { event, data } of readEvents(response.body!)) {
    if (event === "partial") {
      const { lang, text } = JSON.parse(data) as Events["partial"];
      onPartial(lang, text);
    } else if (event === "result") {
      const result = JSON.parse(data) as Events["result"];
      if ("error" in result) throw new Failure(result.error.code, result.error.message);
      missing.delete(result.lang);
      onCaptions(result.lang, result.captions);
    } else if (event === "error") {
      const { code, message } = JSON.parse(data) as Events["error"];
      throw new Failure(code, message);
    }
  }
  if (missing.size > 0) throw new Failure("unreachable", "The server's answer broke off.");
}

async function translate(
  key: string | undefined,
  text: string,
  language: string,
  signal: AbortSignal,
): Promise<string> {
  const response = await ask("v1/translations", {
    method: "POST",
    headers: { ...keyHeader(key), "content-type": "application/json" },
    body: JSON.stringify({ lang: language, texts: [text] }),
    signal,
  });
  const { translations } = (await response.json()) as { readonly translations: readonly { text: string }[] };
  return translations[0]!.text;
}

/**
 * The bytes of a picture elsewhere, fetched by the server: a page may not read what is on other sites.
 * @throws {Failure} `address-refused`, `fetch-failed`, `unreadable-image`, `unreachable`, `unauthorized`
 */
export async function fetchPicture(url: string, key: string | undefined): Promise<Blob> {
  const response = await ask("v1/pictures", {
    method: "POST",
    headers: { ...keyHeader(key), "content-type": "application/json" },
    body: JSON.stringify({ url }),
  });
  return response.blob();
}

function keyHeader(key: string | undefined): Record<string, string> {
  return key ? { authorization: `Bearer ${key}` } : {};
}

/** Asks again where the server says that it is busy. */
async function ask(path: string, init: RequestInit, retries = RETRIES): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(path, init);
  } catch (cause) {
    init.signal?.throwIfAborted();
    throw new Failure("unreachable", `The server cannot be reached: ${(cause as Error).message}`);
  }
  if (response.ok) return response;
  const wait = Number(response.headers.get("retry-after"));
  if (response.status === 429 && retries > 0 && wait <= LONGEST_WAIT) {
    await sleep(Math.max(1, wait), init.signal);
    return ask(path, init, retries - 1);
  }
  const answer = (await response.json().catch(() => ({}))) as { readonly error?: ErrorDetail };
  const { code = "unreachable", message = `The server answered ${response.status}.` } = answer.error ?? {};
  throw new Failure(code, message);
}

function sleep(seconds: number, signal: AbortSignal | null | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, seconds * 1000);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}
