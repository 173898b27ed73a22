import { type CompiledProgram, compileProgram } from "../engine/compile.js";
import type { CompileOptions, Engine, HostTensor, TensorData } from "../engine/engine.js";
import { type Dimension, evaluateDimension, productOperations } from "../graph/index.js";
import type { CaptionerConfig } from "../model/config.js";
import { EMBEDDING, HEAD_BIAS } from "../model/mbart-decoder.js";
import { Dropout, type DropoutKey } from "./dropout.js";
import { InputDropout } from "./input-dropout.js";
import type { FlatTensors } from "./parameters.js";
import { type CaptionBatch, embeddingBlocks, gradientName, trainProgram } from "./train-program.js";

export interface GradientProgramOptions {
  /** Names of the parameters that get a gradient. */
  readonly trainable: ReadonlySet<string>;
  readonly labelSmoothing: number;
  readonly dropout: number;
  readonly inputDropout: number;
  /** The token that dropped inputs become. */
  readonly maskId: number;
  /** The most labels that a batch has: decides whether scores are kept or computed twice. */
  readonly maxTokens: number;
  readonly threads?: number;
  /** See `CompileOptions`. Default "fp32". */
  readonly dtype?: CompileOptions["dtype"];
}

export interface GradientTotal {
  readonly lossSum: number;
  /** Labels that counted. */
  readonly tokens: number;
  /** Multiplications and additions in matrix products. */
  readonly operations: number;
}

/** Which step a batch is a part of, and where in the step's pictures it begins. */
export interface BatchPlace extends DropoutKey {
  readonly firstPicture: number;
}

/** Scores are kept from the forward to the backward pass up to so many bytes, such as of 512 tokens of the original. */
const KEPT_SCORES = 1 << 29;

export function keepsScores({ decoder }: CaptionerConfig, maxTokens: number): boolean {
  return 4 * maxTokens * decoder.vocabularySize <= KEPT_SCORES;
}

/** The total of no pictures. */
export const nothing: GradientTotal = { lossSum: 0, tokens: 0, operations: 0 };

export function addTotals(a: GradientTotal, b: GradientTotal): GradientTotal {
  return {
    lossSum: a.lossSum + b.lossSum,
    tokens: a.tokens + b.tokens,
    operations: a.operations + b.operations,
  };
}

/** A batch's summed loss and the gradient of that sum. */
export class GradientProgram {
  private constructor(
    private readonly program: CompiledProgram,
    private readonly config: CaptionerConfig,
    private readonly trainable: ReadonlySet<string>,
    private readonly labelShare: number,
    private readonly dropout: Dropout,
    private readonly inputDropout: InputDropout,
    private readonly operations: Dimension,
  ) {}

  static async compile(
    engine: Engine,
    config: CaptionerConfig,
    options: GradientProgramOptions,
  ): Promise<GradientProgram> {
    const { trainable, labelSmoothing, maxTokens, threads, dtype } = options;
    const dropout = new Dropout(options.dropout);
    const inputDropout = new InputDropout(options.inputDropout, options.maskId);
    const outputs = trainProgram(config, trainable, {
      labelSmoothing,
      recompute: !keepsScores(config, maxTokens),
      dropout: dropout.apply,
    });
    const program = await compileProgram(engine, outputs.program, {
      ...(threads !== undefined && { threads }),
      ...(dtype && { dtype }),
    });
    const operations = productOperations(outputs.program);
    return new GradientProgram(
      program,
      config,
      trainable,
      outputs.labelShare,
      dropout,
      inputDropout,
      operations,
    );
  }

  /** @param gradient gets the gradient of every trained parameter that the loss depends on; the others are left */
  async run(
    parameters: FlatTensors,
    batch: CaptionBatch,
    place: BatchPlace,
    gradient: FlatTensors,
  ): Promise<GradientTotal> {
    const targets = lossTargets(batch, this.config.ids.pad);
    const { places, labels } = targets;
    if (places.length === 0) {
      for (const stretch of gradient.stretches) stretch.fill(0);
      return nothing;
    }
    const shape = batch.labels.shape as [number, number, number];
    const decoderInputIds = this.inputDropout.apply(batch.decoderInputIds, place, place.firstPicture);
    const { losses, labelHidden, tokenGradients } = await this.program.run(
      {
        ...lossFeeds(this.config, parameters, { ...batch, decoderInputIds }, targets),
        ...this.dropout.masks(place, place.firstPicture, shape),
      },
      this.#into(gradient),
    );
    if (labelHidden && tokenGradients) {
      const rows = gradient.tensors[EMBEDDING]!;
      addRows(rows, labels, labelHidden, -this.labelShare);
      addRows(rows, decoderInputIds.data as BigInt64Array, tokenGradients, 1);
    }
    if (this.trainable.has(HEAD_BIAS)) {
      const { data } = gradient.tensors[HEAD_BIAS]!;
      for (const label of labels) data[Number(label)]! -= this.labelShare;
    }
    const lossSum = (losses!.data as Float32Array).reduce((sum, loss) => sum + loss, 0);
    const [pictures, captions, length] = shape;
    const sizes = new Map(Object.entries({ pictures, captions, length, tokens: places.length }));
    return { lossSum, tokens: places.length, operations: evaluateDimension(this.operations, sizes) };
  }

  #into({ tensors }: FlatTensors): Record<string, TensorData> {
    const into: Record<string, TensorData> = Object.fromEntries(
      Object.entries(tensors).map(([name, { data }]) => [gradientName(name), data]),
    );
    const blocks = tensors[EMBEDDING] ? blockTensors(this.config, tensors[EMBEDDING]) : {};
    for (const [name, { data }] of Object.entries(blocks)) into[gradientName(name)] = data;
    return into;
  }

  close(): Promise<void> {
    return this.program.close();
  }
}

export interface LossTargets {
  /** Positions whose labels count, counted through all captions of a batch. */
  readonly places: BigInt64Array;
  /** Those labels. */
  readonly labels: BigInt64Array;
}

export function lossTargets({ labels }: CaptionBatch, padId: number): LossTargets {
  const all = labels.data as BigInt64Array;
  const pad = BigInt(padId);
  const places: bigint[] = [];
  all.forEach((label, i) => {
    if (label !== pad) places.push(BigInt(i));
  });
  return { places: BigInt64Array.from(places), labels: all.filter((label) => label !== pad) };
}

/** What `lossProgram` and `trainProgram` are fed, but for masks. */
export function lossFeeds(
  config: CaptionerConfig,
  { tensors }: FlatTensors,
  batch: CaptionBatch,
  targets: LossTargets,
): Record<string, HostTensor> {
  return {
    ...tensors,
    ...blockTensors(config, tensors[EMBEDDING]!),
    ...batch,
    ...targetFeeds(targets),
  };
}

export function targetFeeds({ places, labels }: LossTargets): Record<string, HostTensor> {
  return {
    targets: { dtype: "int64", shape: [places.length], data: places },
    targetLabels: { dtype: "int64", shape: [labels.length], data: labels },
  };
}

/** The blocks of the embedding, or of its gradient, as tensors over its own memory. */
function blockTensors(
  config: CaptionerConfig,
  { shape, data, rounded }: HostTensor,
): Record<string, HostTensor> {
  const width = shape[1]!;
  return Object.fromEntries(
    embeddingBlocks(config).map(({ name, start, end }) => {
      const part = <T extends TensorData>(all: T) => all.subarray(start * width, end * width) as T;
      return [
        name,
        {
          dtype: "float32",
          shape: [end - start, width],
          data: part(data),
          ...(rounded && { rounded: part(rounded) }),
        },
      ];
    }),
  );
}

/** Adds scale · row i to the row of `into` that ids[i] names. */
function addRows(into: HostTensor, ids: BigInt64Array, rows: HostTensor, scale: number): void {
  const width = into.shape[1]!;
  const [target, source] = [into.data as Float32Array, rows.data as Float32Array];
  ids.forEach((id, row) => {
    const start = Number(id) * width;
    for (let i = 0; i < width; i++) target[start + i]! += scale * source[row * width + i]!;
  });
}
