import { DeviceRunner } from "../../captioner/device-runner.js";
import type { DeviceEngine } from "../../engine/device/device-engine.js";
import type { DeviceProgram } from "../../engine/device/device-program.js";
import type { DeviceTensor } from "../../engine/device/device-tensor.js";
import type { HostTensor } from "../../engine/engine.js";
import { type Dimension, evaluateDimension, gemm, input, productOperations, sum } from "../../graph/index.js";
import type { CaptionerConfig } from "../../model/config.js";
import { type CaptionedPicture, makeBatch } from "../batch.js";
import { Dropout } from "../dropout.js";
import type { EvaluationPrograms } from "../evaluation-programs.js";
import {
  addTotals,
  type GradientTotal,
  keepsScores,
  lossTargets,
  nothing,
  targetFeeds,
} from "../gradient-program.js";
import { InputDropout } from "../input-dropout.js";
import type { Learner } from "../learner.js";
import { partOf, type TrainingMemory } from "../parameters.js";
import { fastestProduct } from "../product-speed.js";
import type { Recipe } from "../recipe.js";
import { gradientName } from "../train-program.js";
import { adamWProgram, addProgram, ByRank, squaresProgram } from "./device-adamw.js";
import { residentLossProgram, residentTrainProgram, rowFeeds } from "./resident-program.js";

export interface DeviceLearnerOptions {
  readonly config: CaptionerConfig;
  readonly recipe: Recipe;
  readonly memory: TrainingMemory;
  /** The token that dropped inputs become. */
  readonly maskId: number;
  /** Pictures whose gradient is computed at a time. */
  readonly partSize: number;
}

/** What of a trained parameter is on the device. */
interface Trained {
  readonly parameter: DeviceTensor;
  readonly mean: DeviceTensor;
  readonly square: DeviceTensor;
}

/**
 * Trains on a GPU. Parameters, gradients and moments stay there from step to step: a step sends a batch and gets its losses and
 * the gradient's norm.
 */
export class DeviceLearner implements Learner {
  /** Of the parameters' names, those that are trained, */
  readonly #trained = new Map<string, Trained>();
  /** and the others. */
  readonly #frozen = new Map<string, DeviceTensor>();
  /** Of the step at work, by name. Parameters that the loss does not depend on have none. */
  readonly #gradients = new Map<string, DeviceTensor>();
  readonly #add: ByRank;
  readonly #squares: ByRank;
  readonly #adamW: ByRank;

  private constructor(
    private readonly device: DeviceEngine,
    private readonly options: DeviceLearnerOptions,
    private readonly program: DeviceProgram,
    private readonly operations: Dimension,
    private readonly dropout: Dropout,
    private readonly inputDropout: InputDropout,
  ) {
    this.#add = new ByRank(device, addProgram);
    this.#squares = new ByRank(device, squaresProgram);
    this.#adamW = new ByRank(device, (rank) => adamWProgram(rank, options.recipe));
  }

  static async create(device: DeviceEngine, options: DeviceLearnerOptions): Promise<DeviceLearner> {
    const { config, recipe, memory, maskId, partSize } = options;
    const { parameters, gradients, mean, square } = memory;
    const dropout = new Dropout(recipe.dropout);
    const inputDropout = new InputDropout(recipe.inputDropout, maskId);
    const maxTokens = partSize * recipe.languages.length * recipe.maxLength;
    const program = residentTrainProgram(config, new Set(Object.keys(gradients.tensors)), {
      labelSmoothing: recipe.labelSmoothing,
      recompute: !keepsScores(config, maxTokens),
      dropout: dropout.apply,
    });
    const compiled = await device.compileResident(program);
    const operations = productOperations(program);
    const learner = new DeviceLearner(device, options, compiled, operations, dropout, inputDropout);
    for (const [name, parameter] of Object.entries(parameters.tensors)) {
      if (!gradients.tensors[name]) {
        learner.#frozen.set(name, await device.upload(parameter));
        continue;
      }
      const moment = (of: typeof mean) => device.upload({ ...parameter, data: partOf(of, gradients, name) });
      learner.#trained.set(name, {
        parameter: await device.upload(parameter),
        mean: await moment(mean),
        square: await moment(square),
      });
    }
    return learner;
  }

  async gradient(pictures: readonly CaptionedPicture[], step: number, first: number): Promise<GradientTotal> {
    await this.#dropGradients();
    const { partSize } = this.options;
    let total = nothing;
    for (let start = 0; start < pictures.length; start += partSize) {
      const part = await this.#part(pictures.slice(start, start + partSize), step, first + start);
      total = addTotals(total, part);
    }
    return total;
  }

  async #part(
    pictures: readonly CaptionedPicture[],
    step: number,
    firstPicture: number,
  ): Promise<GradientTotal> {
    const { config, recipe } = this.options;
    const batch = makeBatch(pictures, config, recipe.maxLength);
    const targets = lossTargets(batch, config.ids.pad);
    const tokens = targets.labels.length;
    if (tokens === 0) return nothing;
    const place = { seed: recipe.seed, step };
    const shape = batch.labels.shape as [number, number, number];
    const decoderInputIds = this.inputDropout.apply(batch.decoderInputIds, place, firstPicture);
    const losses = new Float32Array(tokens);
    const gradients = await this.program.run(
      {
        ...this.#parameters(),
        ...batch,
        decoderInputIds,
        ...targetFeeds(targets),
        ...rowFeeds(decoderInputIds, targets),
        ...this.dropout.masks(place, firstPicture, shape),
      },
      { losses: { dtype: "float32", shape: [tokens], data: losses } },
    );
    await this.#addGradients(gradients);
    const [pictureCount, captions, length] = shape;
    const sizes = new Map(Object.entries({ pictures: pictureCount, captions, length, tokens }));
    sizes.set("rows", 0); // Sums of rows are no product of the model's.
    return {
      lossSum: losses.reduce((sum, loss) => sum + loss, 0),
      tokens,
      operations: evaluateDimension(this.operations, sizes),
    };
  }

  #parameters(): Record<string, DeviceTensor> {
    const trained = [...this.#trained].map(([name, { parameter }]) => [name, parameter] as const);
    return Object.fromEntries([...this.#frozen, ...trained]);
  }

  async #addGradients(gradients: Readonly<Record<string, DeviceTensor>>): Promise<void> {
    for (const name of this.#trained.keys()) {
      const part = gradients[gradientName(name)];
      if (!part) continue;
      const before = this.#gradients.get(name);
      if (!before) {
        this.#gradients.set(name, part);
        continue;
      }
      const { sum } = await (await this.#add.for(part)).run({ before, part });
      this.#gradients.set(name, sum!);
      await this.device.release([before, part]);
    }
  }

  async #dropGradients(): Promise<void> {
    const gradients = [...this.#gradients.values()];
    this.#gradients.clear();
    await this.device.release(gradients);
  }

  async norm(): Promise<number> {
    let total = await this.device.upload(number(0));
    for (const gradient of this.#gradients.values()) {
      const before = total;
      const { squares } = await (await this.#squares.for(gradient)).run({ before, x: gradient });
      total = squares!;
      await this.device.release([before]);
    }
    const squares = new Float32Array(1);
    await this.device.download(total, squares);
    await this.device.release([total]);
    return Math.sqrt(squares[0]!);
  }

  async update(step: number, learningRate: number, scale: number): Promise<void> {
    const { beta1, beta2 } = this.options.recipe;
    const numbers = await this.#upload({
      scale,
      learningRate,
      correctMean: 1 / (1 - beta1 ** step),
      correctSquare: 1 / (1 - beta2 ** step),
    });
    for (const [name, before] of this.#trained) {
      const gradient = this.#gradients.get(name) ?? (await this.#zeros(name));
      const program = await this.#adamW.for(gradient);
      const after = await program.run({ ...before, gradient, ...numbers });
      this.#trained.set(name, {
        parameter: after.newParameter!,
        mean: after.newMean!,
        square: after.newSquare!,
      });
      this.#gradients.delete(name);
      await this.device.release([...Object.values(before), gradient]);
    }
    await this.device.release(Object.values(numbers));
  }

  async #upload(numbers: Readonly<Record<string, number>>): Promise<Record<string, DeviceTensor>> {
    const tensors: Record<string, DeviceTensor> = {};
    for (const [name, value] of Object.entries(numbers))
      tensors[name] = await this.device.upload(number(value));
    return tensors;
  }

  /** The gradient of what the loss does not depend on. */
  #zeros(name: string): Promise<DeviceTensor> {
    const { shape, data } = this.options.memory.parameters.tensors[name]!;
    return this.device.upload({ dtype: "float32", shape, data: new Float32Array(data.length) });
  }

  async bringHome(): Promise<void> {
    const { parameters, gradients, mean, square } = this.options.memory;
    for (const [name, trained] of this.#trained) {
      await this.device.download(trained.parameter, parameters.tensors[name]!.data);
      await this.device.download(trained.mean, partOf(mean, gradients, name));
      await this.device.download(trained.square, partOf(square, gradients, name));
    }
  }

  async evaluation(): Promise<EvaluationPrograms> {
    const { config } = this.options;
    const program = await this.device.compileResident(residentLossProgram(config));
    const runner = new DeviceRunner(this.device, config, () => this.#parameters());
    return {
      losses: async (batch, targets) => {
        if (targets.labels.length === 0) return new Float32Array();
        const feeds = { ...this.#parameters(), ...batch, ...targetFeeds(targets) };
        const home = program.memoryFor(feeds);
        await program.run(feeds, home);
        return home.losses!.data as Float32Array;
      },
      runner,
      close: async () => {
        await Promise.all([program.close(), runner.close()]);
      },
    };
  }

  async productSpeed(rows: number): Promise<number> {
    const { hiddenSize, ffnDim } = this.options.config.decoder;
    const x = input("x", "float32", [rows, hiddenSize]);
    const w = input("w", "float32", [ffnDim, hiddenSize]);
    // The sum is waited for, and its one number all that is copied.
    const program = await this.device.compileResident({
      outputs: { sum: sum(gemm(x, w, undefined, { transposeB: true }), { axes: [-1] }) },
    });
    const filled = (shape: readonly [number, number]) =>
      this.device.upload({ dtype: "float32", shape, data: new Float32Array(shape[0] * shape[1]).fill(0.5) });
    const feeds = { x: await filled([rows, hiddenSize]), w: await filled([ffnDim, hiddenSize]) };
    try {
      const home = program.memoryFor(feeds);
      return await fastestProduct(2 * rows * hiddenSize * ffnDim, () => program.run(feeds, home));
    } finally {
      await this.device.release(Object.values(feeds));
      await program.close();
    }
  }

  async close(): Promise<void> {
    const trained = [...this.#trained.values()].flatMap(
      (tensors) => Object.values(tensors) as DeviceTensor[],
    );
    await this.device.release([...trained, ...this.#frozen.values()]);
    await this.#dropGradients();
    await Promise.all([this.program.close(), this.#add.close(), this.#squares.close(), this.#adamW.close()]);
  }
}

const number = (value: number): HostTensor => ({ dtype: "float32", shape: [], data: Float32Array.of(value) });
