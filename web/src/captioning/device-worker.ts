/** Runs the model in a thread of its own, so that the page goes on scrolling while WebAssembly computes. */
import { type Captioner, LingolensError, loadCaptioner } from "lingolens/browser";
import { type Caption, captionOptions } from "./caption.js";
import type { FromWorker, ToWorker } from "./device-protocol.js";

/** Of larger models' weights, a graphics processor is worth the time it takes to start. */
const LARGE_MODEL = 64 * 2 ** 20;

let captioner: Captioner | undefined;
const running = new Map<number, AbortController>();

addEventListener("message", ({ data }: MessageEvent<ToWorker>) => {
  if (data.type === "load") void load(data);
  else if (data.type === "describe") void describe(data);
  else running.get(data.id)?.abort();
});

async function load({ model, engine }: Extract<ToWorker, { type: "load" }>): Promise<void> {
  try {
    captioner = await loadCaptioner({
      model,
      wasmPaths: engine,
      device: (await isLarge(model)) ? "auto" : "wasm",
      // One processor is left to the page: threads that have to wait for it hold up the others.
      threads: Math.max(1, Math.min(4, navigator.hardwareConcurrency - 1)),
      onProgress: ({ done, total }) => send({ type: "progress", done, total }),
    });
    const { size, cropSize } = captioner.preprocessor;
    send({ type: "ready", languages: captioner.languages, view: { size, cropSize } });
  } catch (error) {
    send({ type: "load-failed", ...detail(error) });
  }
}

async function isLarge(model: string): Promise<boolean> {
  const head = await fetch(new URL("model.safetensors", model), { method: "HEAD" }).catch(() => undefined);
  return Number(head?.headers.get("content-length")) > LARGE_MODEL;
}

async function describe(request: Extract<ToWorker, { type: "describe" }>): Promise<void> {
  const { id, picture, languages, settings } = request;
  const abort = new AbortController();
  running.set(id, abort);
  try {
    const options = { ...captionOptions(settings), lang: [...languages], signal: abort.signal };
    for await (const { lang, text, captions } of captioner!.stream(picture, options)) {
      if (captions) send({ type: "captions", id, language: lang, captions: captions.map(withPieces) });
      else send({ type: "partial", id, language: lang, text });
    }
    send({ type: "done", id });
  } catch (error) {
    send({ type: "failed", id, ...detail(error) });
  } finally {
    running.delete(id);
  }
}

/** The text that each token after the start token adds, as the API gives it. */
function withPieces(caption: Caption): Caption {
  const texts = caption.tokens.map((_, i) => captioner!.decode(caption.tokens.slice(0, i + 1)));
  return { ...caption, pieces: texts.slice(1).map((text, i) => text.slice(texts[i]!.length)) };
}

function detail(error: unknown): { code: string; message: string } {
  const code = error instanceof LingolensError ? error.code : "unexpected";
  return { code, message: error instanceof Error ? error.message : String(error) };
}

function send(message: FromWorker): void {
  postMessage(message);
}
