import type { Caption, Captioner } from "../captioner/captioner.js";
import type { ResolvedCaptionOptions } from "../captioner/options.js";
import { LingolensError } from "../errors.js";
import type { RgbImage } from "../image/pixels.js";
import { resolveLanguage } from "../text/languages.js";
import { Batcher } from "./batcher.js";
import type { CaptionRequest, RequestedImage } from "./caption-request.js";
import { HttpError } from "./http-error.js";
import type { Metrics } from "./metrics.js";
import { readImage } from "./read-image.js";
import type { ServerSettings } from "./settings.js";

/** A caption as the API gives it. */
export interface ApiCaption extends Caption {
  /** With `attention`: the text that each token after the start token adds. Joined, they are `text`. */
  readonly pieces?: readonly string[];
}

/** What came of one picture in one language, or why nothing did: the command line's JSON lines. */
export type ApiResult =
  | { readonly image: string; readonly lang: string; readonly captions: readonly ApiCaption[] }
  | { readonly image: string; readonly error: { readonly code: string; readonly message: string } };

export type StreamEvent =
  | { readonly event: "partial"; readonly data: { image: string; lang: string; text: string } }
  | { readonly event: "result"; readonly data: ApiResult };

/** For whom the work is. Once the signal aborts, it stops, and fails with the signal's reason. */
export interface Caller {
  readonly client: string;
  readonly signal: AbortSignal;
}

/** Four digits say all that can be seen, and are a third of the bytes. */
const rounded = (shares: readonly number[]): number[] => shares.map((share) => Number(share.toPrecision(4)));

type OnPartial = (lang: string, text: string) => void;

/** One picture for the model. */
interface Task {
  readonly image: RgbImage;
  readonly options: ResolvedCaptionOptions;
  /** Of a stream, which has a batch of its own. */
  readonly onPartial?: OnPartial | undefined;
}

type Languages = { readonly lang: string; readonly captions: readonly Caption[] }[];

/** Faults of a request as a whole; the library's other codes say what is wrong with a picture. */
const FAULTS_OF_REQUESTS = ["unknown-language", "option-unsupported"];

/** The bound on rows is for captions of up to so many tokens, the default; longer ones take more memory each. */
const USUAL_LENGTH = 64;

/** From requests to captions: pictures are read, wait for their turn, and are described in batches. */
export class CaptionService {
  readonly #batcher: Batcher<Task, Languages>;
  /** Pictures let in that have no captions yet. */
  #pictures = 0;
  /** Of these, those that are here and being decoded. */
  #decoding = 0;
  #streams = 0;
  /** Seconds that a picture takes when many wait, a moving average. */
  #pace = 0;

  constructor(
    private readonly captioner: Captioner,
    private readonly settings: ServerSettings,
    private readonly metrics: Metrics,
  ) {
    this.#batcher = new Batcher<Task, Languages>({
      ...settings,
      coming: () => this.#decoding,
      run: (tasks, signal) => this.#run(tasks, signal),
      onBatch: (size) => metrics.batchSize.observe(size),
    });
  }

  /** Pictures let in that have no captions yet. */
  get pictures(): number {
    return this.#pictures;
  }

  get running(): number {
    return this.#batcher.running;
  }

  /** @throws {HttpError} `overloaded` where so many more pictures have no room. */
  checkRoom(pictures: number): void {
    if (this.#pictures + pictures <= this.settings.maxQueue) return;
    const seconds = Math.min(60, Math.max(1, Math.ceil((this.#pictures * this.#pace) / 2)));
    throw new HttpError(
      "overloaded",
      `${this.#pictures} pictures are waiting already; try again in ${seconds} s.`,
      {
        "retry-after": String(seconds),
      },
    );
  }

  /**
   * What can be said against a request before it is worked on.
   * @throws {HttpError} `overloaded`; {LingolensError} `unknown-language`, `option-unsupported`
   */
  check({ images, options }: CaptionRequest): void {
    for (const code of options.lang) if (code !== "all") resolveLanguage(code);
    this.#rows(options);
    this.checkRoom(images.length);
  }

  /**
   * Results by picture and language, in the request's order. A picture that fails becomes a result.
   * @throws {HttpError} `overloaded`; {LingolensError} what is wrong with the options, or with the first picture
   * where all have failed; the signal's reason
   */
  async caption(request: CaptionRequest, caller: Caller): Promise<ApiResult[]> {
    const done = await this.#admit(request, (image) => this.#describe(image, request.options, caller));
    const [failure] = done.flatMap(({ failure }) => failure ?? []);
    if (failure && done.every((one) => one.failure)) throw failure;
    return done.flatMap(({ results }) => results);
  }

  /** The same, told as it comes: a failed picture is always a result. `emit` does not wait for the client. */
  async stream(request: CaptionRequest, caller: Caller, emit: (event: StreamEvent) => void): Promise<void> {
    await this.#admit(request, async (image) => {
      const last = new Map<string, string>();
      const onPartial: OnPartial = (lang, text) => {
        if (last.get(lang) === text) return;
        last.set(lang, text);
        emit({ event: "partial", data: { image: image.name, lang, text } });
      };
      const { results } = await this.#describe(image, request.options, caller, onPartial);
      for (const data of results) emit({ event: "result", data });
    });
  }

  async #admit<R>(
    { images, options }: CaptionRequest,
    work: (image: RequestedImage) => Promise<R>,
  ): Promise<R[]> {
    this.check({ images, options });
    this.#pictures += images.length;
    const counted = images.map((image) =>
      work(image).finally(() => {
        this.#pictures--;
      }),
    );
    return Promise.all(counted);
  }

  async #describe(
    { name, ...image }: RequestedImage,
    options: ResolvedCaptionOptions,
    { client, signal }: Caller,
    onPartial?: OnPartial,
  ): Promise<{ results: ApiResult[]; failure?: LingolensError }> {
    try {
      const pixels = await this.#readImage({ name, ...image }, options, signal);
      const since = performance.now();
      const languages = await this.#batcher.submit({
        client,
        kind: onPartial ? `stream ${this.#streams++}` : JSON.stringify(options),
        rows: this.#rows(options),
        input: { image: pixels, options, onPartial },
        signal,
      });
      this.metrics.queueTime.observe((performance.now() - since) / 1000);
      this.metrics.pictures.add({ outcome: "described" });
      for (const { lang, captions } of languages) this.metrics.captions.add({ lang }, captions.length);
      return { results: languages.map(({ lang, captions }) => this.#result(name, lang, captions)) };
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof LingolensError) || FAULTS_OF_REQUESTS.includes(error.code)) throw error;
      this.metrics.pictures.add({ outcome: "failed" });
      const { code, message } = error;
      return { results: [{ image: name, error: { code, message } }], failure: error };
    }
  }

  async #readImage(
    image: RequestedImage,
    { ignoreExif }: ResolvedCaptionOptions,
    signal: AbortSignal,
  ): Promise<RgbImage> {
    const isHere = image.source instanceof Uint8Array; // What is at a URL may take long.
    if (isHere) this.#decoding++;
    try {
      return await readImage(image, this.captioner.preprocessor, this.settings, { ignoreExif, signal });
    } finally {
      if (isHere) this.#decoding--;
    }
  }

  /** Hypotheses of a picture. */
  #rows({ lang, sample, beams, numCaptions, maxLength }: ResolvedCaptionOptions): number {
    const languages = lang.flatMap((code) => (code === "all" ? this.captioner.languages : [code])).length;
    const length = Math.min(maxLength, this.captioner.config.decoder.maxPositions);
    const rows = languages * (sample ? numCaptions : beams) * Math.max(1, length / USUAL_LENGTH);
    if (rows <= this.settings.maxRows) return rows;
    throw new LingolensError(
      "option-unsupported",
      `${languages} languages with ${sample ? numCaptions : beams} hypotheses of up to ${length} tokens are more than this ` +
        `server takes at once: expected languages × hypotheses × length / ${USUAL_LENGTH} of at most ` +
        `${this.settings.maxRows}; got ${rows}. Ask for fewer languages, beams or tokens.`,
    );
  }

  #result(image: string, lang: string, captions: readonly Caption[]): ApiResult {
    return {
      image,
      lang,
      captions: captions.map((caption) => ({
        ...caption,
        ...(caption.attention && {
          attention: caption.attention.map(rounded),
          pieces: this.#pieces(caption.tokens),
        }),
      })),
    };
  }

  #pieces(tokens: readonly number[]): string[] {
    const texts = tokens.map((_, i) => this.captioner.decode(tokens.slice(0, i + 1)));
    return texts.slice(1).map((text, i) => text.slice(texts[i]!.length));
  }

  async #run(tasks: readonly Task[], signal: AbortSignal): Promise<Languages[]> {
    const [{ options, image, onPartial }] = tasks as [Task];
    const since = performance.now();
    const found = onPartial
      ? [await this.#stream(image, options, signal, onPartial)]
      : await this.#batch(tasks, signal);
    const pace = (performance.now() - since) / 1000 / tasks.length / this.settings.concurrency;
    this.#pace = this.#pace === 0 ? pace : this.#pace * 0.9 + pace * 0.1;
    return found;
  }

  async #batch(tasks: readonly Task[], signal: AbortSignal): Promise<Languages[]> {
    const found: Languages[] = tasks.map(() => []);
    const pictures = tasks.map(({ image }, i) => ({ name: String(i), source: image }));
    const options = { ...tasks[0]!.options, batchSize: tasks.length, signal };
    for await (const result of this.captioner.captionEach(pictures, options)) {
      if ("error" in result) throw new Error(`A decoded picture failed: ${result.error.message}`);
      const { image, lang, captions } = result;
      found[Number(image)]!.push({ lang, captions });
    }
    return found;
  }

  async #stream(
    image: RgbImage,
    options: ResolvedCaptionOptions,
    signal: AbortSignal,
    onPartial: OnPartial,
  ): Promise<Languages> {
    const found: Languages = [];
    for await (const { lang, text, captions } of this.captioner.stream(image, { ...options, signal })) {
      if (captions) found.push({ lang, captions });
      else onPartial(lang, text);
    }
    return found;
  }
}
