import type { Engine } from "../engine/engine.js";
import { LingolensError } from "../errors.js";
import type { Search } from "../generation/search.js";
import type { PictureSource } from "../image/picture-source.js";
import { type PreprocessorConfig, readPreprocessorConfig } from "../image/preprocessor-config.js";
import type { CaptionerConfig } from "../model/config.js";
import type { Mbart50Tokenizer } from "../text/mbart50-tokenizer.js";
import { makeBatch } from "../training/batch.js";
import type { RawJson } from "../weights/model-folder.js";
import { type Caption, Describer, positions } from "./describer.js";
import { type ModelLanguages, modelLanguages, resolveLanguages } from "./languages.js";
import type { ModelPrograms } from "./model-programs.js";
import { HostRunner, type ModelRunner } from "./model-runner.js";
import { type CaptionOptions, resolveCaptionOptions } from "./options.js";
import {
  type LoadPicture,
  type NamedPicture,
  type PreparedPicture,
  type PreparePicture,
  picturePreparation,
} from "./prepare-picture.js";

export type { Caption } from "./describer.js";
export type { NamedPicture } from "./prepare-picture.js";

/** What came of one picture in one language, or why nothing did. */
export type CaptionResult =
  | { readonly image: string; readonly lang: string; readonly captions: readonly Caption[] }
  | { readonly image: string; readonly error: { readonly code: string; readonly message: string } };

export interface CallOptions {
  readonly signal?: AbortSignal;
  /** Called when pictures are done. */
  readonly onProgress?: (progress: { readonly done: number; readonly total?: number }) => void;
}

/** A caption while it grows. */
export interface StreamedCaption {
  readonly lang: string;
  /** The best caption so far; it may change when another overtakes it. */
  readonly text: string;
  readonly done: boolean;
  /** Once done: all captions of the language, best first. */
  readonly captions?: readonly Caption[];
}

/** A caption to be scored. */
export interface GivenCaption {
  readonly lang: string;
  readonly caption: string;
}

export interface CaptionScore {
  /** `[lang] caption </s>` */
  readonly tokens: readonly number[];
  /** Mean negative log-likelihood of these tokens. */
  readonly nll: number;
}

/** A model loaded and ready. Every method may be called while others run. */
export interface Captioner {
  readonly config: CaptionerConfig;
  /** mBART codes of the languages that the model was trained for, as far as it says. */
  readonly languages: readonly string[];
  /** How pictures become what the model sees. */
  readonly preprocessor: PreprocessorConfig;
  /** One picture: its results by language. Throws what is wrong with the picture. */
  caption(image: PictureSource, options?: CaptionOptions & CallOptions): Promise<CaptionResult[]>;
  /** Many pictures, in order: a picture that fails becomes a result with `error`, and the others go on. */
  caption(images: readonly PictureSource[], options?: CaptionOptions & CallOptions): Promise<CaptionResult[]>;
  /** As many pictures as there are, a few in memory at a time; results in input order. */
  captionEach(
    pictures: AsyncIterable<NamedPicture> | Iterable<NamedPicture>,
    options?: CaptionOptions & CallOptions,
  ): AsyncGenerator<CaptionResult, void, undefined>;
  /** Captions of one picture as they grow, a value a step and language. */
  stream(
    image: PictureSource,
    options?: CaptionOptions & CallOptions,
  ): AsyncGenerator<StreamedCaption, void, undefined>;
  /**
   * Teacher-forced logits [rows, length, vocabulary].
   * @param pixelValues [rows, channels, size, size], normalised
   * @param decoderInputIds [rows, length]
   */
  logits(inputs: {
    readonly pixelValues: Float32Array;
    readonly decoderInputIds: readonly (readonly number[])[];
  }): Promise<{ readonly shape: readonly number[]; readonly data: Float32Array }>;
  /** How well the model expects given captions of a picture, which is encoded once. */
  score(
    image: PictureSource,
    captions: readonly GivenCaption[],
    options?: Pick<CaptionOptions, "ignoreExif" | "allowPrivate"> & Pick<CallOptions, "signal">,
  ): Promise<CaptionScore[]>;
  /** The text of ids; of the first ids of a caption, the first part of its text. */
  decode(tokens: readonly number[]): string;
  /** Frees the model. Idempotent. */
  close(): Promise<void>;
}

function withDecoderStart(config: CaptionerConfig, decoderStart = config.ids.decoderStart): CaptionerConfig {
  if (Number.isInteger(decoderStart) && decoderStart >= 0 && decoderStart < config.decoder.vocabularySize)
    return { ...config, ids: { ...config.ids, decoderStart } };
  throw new LingolensError(
    "option-unsupported",
    `decoderStart: expected a token id below ${config.decoder.vocabularySize}; got ${decoderStart}.`,
  );
}

/** What a captioner is made of, wherever it runs. */
export interface CaptionerParts {
  readonly engine: Engine;
  readonly programs: ModelPrograms;
  /** Runs programs that are not the engine's own. Default: the engine runs all. */
  readonly runner?: ModelRunner;
  readonly tokenizer: Mbart50Tokenizer;
  /** generation_config.json. */
  readonly generationConfig: RawJson | undefined;
  /** preprocessor_config.json. */
  readonly preprocessorConfig: RawJson | undefined;
  readonly loadPicture: LoadPicture;
  /** The token that captions start from. Default: the model's. */
  readonly decoderStart?: number | undefined;
}

export class LoadedCaptioner implements Captioner {
  readonly config: CaptionerConfig;
  readonly preprocessor: PreprocessorConfig;
  readonly #languages: ModelLanguages;
  readonly #prepare: PreparePicture;
  readonly #runner: ModelRunner;
  readonly #describer: Describer;
  private readonly engine: Engine;
  private readonly programs: ModelPrograms;
  private readonly tokenizer: Mbart50Tokenizer;
  #closed = false;

  /** @throws {LingolensError} `config-invalid`, `option-unsupported` */
  constructor({ engine, programs, tokenizer, ...parts }: CaptionerParts) {
    this.engine = engine;
    this.programs = programs;
    this.tokenizer = tokenizer;
    this.config = withDecoderStart(programs.config, parts.decoderStart);
    this.#languages = modelLanguages(tokenizer, parts.generationConfig);
    const { imageSize } = this.config.vision;
    this.preprocessor = readPreprocessorConfig(parts.preprocessorConfig ?? {}, imageSize);
    this.#prepare = picturePreparation(this.preprocessor, parts.loadPicture);
    this.#runner = parts.runner ?? new HostRunner(programs);
    this.#describer = new Describer(this.#runner, this.config, tokenizer, parts.generationConfig);
  }

  get languages(): readonly string[] {
    return this.#languages.trained;
  }

  async caption(
    images: PictureSource | readonly PictureSource[],
    options: CaptionOptions & CallOptions = {},
  ): Promise<CaptionResult[]> {
    const list = Array.isArray(images) ? images : [images as PictureSource];
    const pictures = list.map((source, i) => ({
      name: typeof source === "string" ? source : `#${i + 1}`,
      source,
    }));
    const { onProgress, ...rest } = options;
    const results: CaptionResult[] = [];
    const counted = onProgress && {
      onProgress: ({ done }: { done: number }) => onProgress({ done, total: list.length }),
    };
    for await (const result of this.#captionEach(pictures, { ...rest, ...counted }, !Array.isArray(images)))
      results.push(result);
    return results;
  }

  captionEach(
    pictures: AsyncIterable<NamedPicture> | Iterable<NamedPicture>,
    options: CaptionOptions & CallOptions = {},
  ): AsyncGenerator<CaptionResult, void, undefined> {
    return this.#captionEach(pictures, options, false);
  }

  async *#captionEach(
    pictures: AsyncIterable<NamedPicture> | Iterable<NamedPicture>,
    { signal, onProgress, ...options }: CaptionOptions & CallOptions,
    throwing: boolean,
  ): AsyncGenerator<CaptionResult, void, undefined> {
    this.#checkOpen();
    const resolved = resolveCaptionOptions(options);
    const languages = resolveLanguages(resolved.lang, this.#languages);
    let done = 0;
    // The next pictures are read and prepared while these are described.
    let upcoming: Promise<PreparedPicture[]> | undefined;
    const batches = inBatches(pictures, resolved.batchSize);
    const prepareNext = async (): Promise<PreparedPicture[] | undefined> => {
      const { value, done: ended } = await batches.next();
      return ended
        ? undefined
        : Promise.all((value as NamedPicture[]).map((one) => this.#prepare(one, resolved, signal)));
    };
    upcoming = prepareNext() as Promise<PreparedPicture[]>;
    try {
      for (;;) {
        const batch: PreparedPicture[] | undefined = await upcoming;
        if (!batch) return;
        upcoming = prepareNext() as Promise<PreparedPicture[]>;
        upcoming.catch(() => {});
        const failed = throwing && batch.find((one) => "error" in one);
        if (failed && "error" in failed) throw failed.error;
        const readable = batch.flatMap((one) => ("pixelValues" in one ? [one] : []));
        const captions =
          readable.length > 0
            ? await this.#describer.describe(readable, languages, resolved, { ...(signal && { signal }) })
            : [];
        for (const one of batch) {
          const { name } = one;
          if ("error" in one)
            yield { image: name, error: { code: one.error.code, message: one.error.message } };
          else
            for (const [i, lang] of languages.entries())
              yield { image: name, lang, captions: captions[readable.indexOf(one)]![i]! };
        }
        done += batch.length;
        onProgress?.({ done });
      }
    } finally {
      await upcoming?.catch(() => {});
      await batches.return();
    }
  }

  async *stream(
    image: PictureSource,
    { signal, onProgress: _, ...options }: CaptionOptions & CallOptions = {},
  ): AsyncGenerator<StreamedCaption, void, undefined> {
    this.#checkOpen();
    const resolved = resolveCaptionOptions(options);
    const languages = resolveLanguages(resolved.lang, this.#languages);
    const prepared = await this.#prepare({ name: "#1", source: image }, resolved, signal);
    if ("error" in prepared) throw prepared.error;

    const stop = new AbortController();
    const waiting: StreamedCaption[] = [];
    let wake = () => {};
    const onStep = (searches: readonly (readonly Search[])[]): void => {
      searches[0]!.forEach((search, i) => {
        const [best] = search.running;
        if (best)
          waiting.push({
            lang: languages[i]!,
            text: this.#describer.text(best.tokens, languages[i]!, resolved),
            done: false,
          });
      });
      wake();
    };
    const signals = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal;
    let finished = false;
    const describing = this.#describer
      .describe([prepared], languages, resolved, { signal: signals, onStep })
      .finally(() => {
        finished = true;
        wake();
      });
    describing.catch(() => {});
    try {
      while (!finished || waiting.length > 0) {
        if (waiting.length > 0) yield waiting.shift()!;
        else
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
      }
      const [captions] = await describing;
      for (const [i, lang] of languages.entries())
        yield { lang, text: captions![i]![0]!.text, done: true, captions: captions![i]! };
    } finally {
      stop.abort();
      await describing.catch(() => {});
    }
  }

  async logits({
    pixelValues,
    decoderInputIds,
  }: Parameters<Captioner["logits"]>[0]): ReturnType<Captioner["logits"]> {
    this.#checkOpen();
    const { channels, imageSize } = this.config.vision;
    const rows = decoderInputIds.length;
    const length = decoderInputIds[0]?.length ?? 0;
    const { vocabularySize, maxPositions } = this.config.decoder;
    const fits = (id: number): boolean => Number.isInteger(id) && id >= 0 && id < vocabularySize;
    if (length > maxPositions || !decoderInputIds.every((ids) => ids.length === length && ids.every(fits)))
      throw new LingolensError(
        "shape-mismatch",
        `decoderInputIds: expected rows of one length, at most ${maxPositions}, of ids below ${vocabularySize}; ` +
          `got ${rows} rows, the first of ${length} ids.`,
      );
    const program = await this.programs.get("logits");
    const { logits } = await program.run({
      pixelValues: { dtype: "float32", shape: [rows, channels, imageSize, imageSize], data: pixelValues },
      decoderInputIds: {
        dtype: "int64",
        shape: [rows, 1, length],
        data: BigInt64Array.from(decoderInputIds.flat(), BigInt),
      },
      positions: positions(length),
    });
    return { shape: [rows, length, this.config.decoder.vocabularySize], data: logits!.data as Float32Array };
  }

  async score(
    image: PictureSource,
    captions: readonly GivenCaption[],
    { ignoreExif = false, allowPrivate = false, signal }: Parameters<Captioner["score"]>[2] = {},
  ): Promise<CaptionScore[]> {
    this.#checkOpen();
    if (captions.length === 0) return [];
    const { maxPositions } = this.config.decoder;
    const labels = captions.map(({ lang, caption }) => {
      const [language] = resolveLanguages([lang], this.#languages);
      return this.tokenizer.encode(caption, language!, { maxLength: maxPositions });
    });
    const prepared = await this.#prepare({ name: "#1", source: image }, { ignoreExif, allowPrivate }, signal);
    if ("error" in prepared) throw prepared.error;
    const { pixelValues: _, ...batch } = makeBatch(
      [{ ...prepared, captions: labels }],
      this.config,
      maxPositions,
    );
    const logProbs = await this.#describer.score(prepared, batch);
    const length = logProbs.shape.at(-1)!;
    return labels.map((tokens, row) => {
      const own = (logProbs!.data as Float32Array).subarray(row * length, row * length + tokens.length);
      return { tokens, nll: -own.reduce((sum, logProb) => sum + logProb, 0) / tokens.length };
    });
  }

  decode(tokens: readonly number[]): string {
    return this.tokenizer.decode(tokens);
  }

  #checkOpen(): void {
    if (this.#closed)
      throw new LingolensError("handle-closed", "This captioner has been closed; load the model again.");
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#runner.close();
    await this.programs.close();
    await this.engine.close();
  }
}

async function* inBatches<T>(
  items: AsyncIterable<T> | Iterable<T>,
  size: number,
): AsyncGenerator<T[], void, undefined> {
  let batch: T[] = [];
  for await (const item of items) {
    batch.push(item);
    if (batch.length === size) {
      yield batch;
      batch = [];
    }
  }
  if (batch.length > 0) yield batch;
}
