import { type CompiledProgram, compileProgram, type HostTensors } from "../engine/compile.js";
import type { Engine } from "../engine/engine.js";
import type { Program, WeightLocation } from "../graph/index.js";
import {
  attentionOutputs,
  decodeOutputs,
  encodeOutputs,
  logitsOutputs,
  scoreOutputs,
  weightInputOutputs,
} from "../model/captioner.js";
import type { CaptionerConfig } from "../model/config.js";
import { nextTurn } from "../pausable.js";

const OUTPUTS = {
  encode: encodeOutputs,
  decode: decodeOutputs,
  attention: attentionOutputs,
  logits: logitsOutputs,
  weightInputs: weightInputOutputs,
  score: (config: CaptionerConfig, int8?: ReadonlySet<string>) => scoreOutputs(config, "cross", int8),
} satisfies Record<string, (config: CaptionerConfig, int8?: ReadonlySet<string>) => Program["outputs"]>;

export type ProgramName = keyof typeof OUTPUTS;

/** Programs that run for every caption: rearranged copies of their weights are worth the time and the memory. */
const OFTEN_RUN: readonly ProgramName[] = ["encode", "decode"];

/** Up to this many parameters they are for any program. */
const SMALL_MODEL = 64e6;

/** A model's weights as its programs take them. */
export interface ProgramWeights {
  readonly config: CaptionerConfig;
  /** Where weights lie. */
  readonly locations: ReadonlyMap<string, WeightLocation>;
  /** The folder that the locations count from, or the files' contents by name, for an engine without files. */
  readonly externalData: string | ReadonlyMap<string, Uint8Array>;
  /** Weights that had to be converted, fed at every run. */
  readonly converted: HostTensors;
  /** Names of the weights that are in int8. */
  readonly int8: ReadonlySet<string>;
  /** Number of parameters. */
  readonly size: number;
}

/** The programs of a model, compiled when first asked for, over weights that stay where they are. */
export class ModelPrograms {
  readonly #compiled = new Map<ProgramName, Promise<CompiledProgram>>();

  constructor(
    private readonly engine: Engine,
    private readonly weights: ProgramWeights,
    private readonly threads?: number,
  ) {}

  get config(): CaptionerConfig {
    return this.weights.config;
  }

  get(name: ProgramName): Promise<CompiledProgram> {
    let program = this.#compiled.get(name);
    if (!program) {
      program = this.#compile(name);
      this.#compiled.set(name, program);
    }
    return program;
  }

  async #compile(name: ProgramName): Promise<CompiledProgram> {
    await nextTurn(); // Whoever waits for the event loop goes first.
    const { config, locations, externalData, converted, int8, size } = this.weights;
    const program = await compileProgram(
      this.engine,
      { outputs: OUTPUTS[name](config, int8) },
      {
        weights: locations,
        externalData,
        prepack: size <= SMALL_MODEL || OFTEN_RUN.includes(name),
        ...(this.threads !== undefined && { threads: this.threads }),
      },
    );
    return { ...program, run: (feeds, into) => program.run({ ...converted, ...feeds }, into) };
  }

  async close(): Promise<void> {
    const programs = await Promise.allSettled(this.#compiled.values());
    await Promise.all(
      programs.map((result) => (result.status === "fulfilled" ? result.value.close() : undefined)),
    );
  }
}
