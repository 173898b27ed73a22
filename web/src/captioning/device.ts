import { type Captioning, Failure, type Request } from "./caption.js";
import type { FromWorker, ToWorker } from "./device-protocol.js";

declare const ENGINE_FOLDER: string;

export interface DeviceCaptioning extends Captioning {
  /** Ends the thread and frees the model. */
  close(): void;
}

/** Where lingolens/browser keeps the files of models. */
const MODELS_STORE = "lingolens-models";

/**
 * The captions of a model that runs here. Its files are fetched from the server once and kept.
 * @param files path of the model's files on the server
 * @param onProgress bytes of the weights that have come, of how many
 * @throws {Failure} what `loadCaptioner` of lingolens/browser throws; the signal's reason
 */
export async function loadDevice({
  files,
  signal,
  onProgress,
}: {
  readonly files: string;
  readonly signal: AbortSignal;
  readonly onProgress: (done: number, total: number) => void;
}): Promise<DeviceCaptioning> {
  const model = new URL(files, document.baseURI).href;
  await Promise.all([keeperReady(), forgetOthers(model)]);
  signal.throwIfAborted();
  const worker = new Worker(new URL("./device-worker.ts", import.meta.url), { type: "module" });
  const send = (message: ToWorker): void => worker.postMessage(message);
  const requests = new Map<number, { request: Request; settle(failure?: Failure): void }>();

  const ready = await new Promise<Extract<FromWorker, { type: "ready" }>>((resolve, reject) => {
    worker.onmessage = ({ data }: MessageEvent<FromWorker>) => {
      if (data.type === "progress") onProgress(data.done, data.total);
      else if (data.type === "ready") resolve(data);
      else if (data.type === "load-failed") reject(new Failure(data.code, data.message));
    };
    worker.onerror = ({ message }) =>
      reject(new Failure("engine-unavailable", message || "The worker failed."));
    signal.addEventListener("abort", () => reject(signal.reason));
    send({ type: "load", model, engine: new URL(ENGINE_FOLDER, document.baseURI).href });
  }).catch((error) => {
    worker.terminate();
    throw error;
  });

  worker.onmessage = ({ data }: MessageEvent<FromWorker>) => {
    if (!("id" in data)) return;
    const found = requests.get(data.id);
    if (data.type === "partial") found?.request.onPartial(data.language, data.text);
    else if (data.type === "captions") found?.request.onCaptions(data.language, data.captions);
    else if (data.type === "done") found?.settle();
    else found?.settle(new Failure(data.code, data.message));
  };
  worker.onerror = ({ message }) => {
    for (const { settle } of requests.values()) settle(new Failure("engine-failed", message));
  };

  let next = 0;
  return {
    model: { id: files, bundled: false, languages: ready.languages, view: ready.view },
    describe(request) {
      const { picture, languages, settings, signal } = request;
      const id = next++;
      return new Promise((resolve, reject) => {
        const cancel = (): void => {
          requests.delete(id);
          send({ type: "cancel", id });
          reject(signal.reason);
        };
        if (signal.aborted) return reject(signal.reason);
        signal.addEventListener("abort", cancel);
        const settle = (failure?: Failure): void => {
          requests.delete(id);
          signal.removeEventListener("abort", cancel);
          if (failure) reject(failure);
          else resolve();
        };
        requests.set(id, { request, settle });
        send({ type: "describe", id, picture, languages, settings });
      });
    },
    close: () => worker.terminate(),
  };
}

/** Waits for the service worker, if one is on its way: what is fetched before it is there is not kept. */
async function keeperReady(): Promise<void> {
  const registration = await navigator.serviceWorker?.getRegistration();
  if (registration) await navigator.serviceWorker.ready;
}

/** Frees the room of models that the server had before. */
async function forgetOthers(model: string): Promise<void> {
  const store = await globalThis.caches?.open(MODELS_STORE).catch(() => undefined);
  const folder = new URL("..", model).href;
  for (const { url } of (await store?.keys()) ?? [])
    if (url.startsWith(folder) && !url.startsWith(model)) await store!.delete(url);
}
