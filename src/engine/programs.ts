import type { Program, WeightLocation } from "../graph/index.js";
import { nextTurn } from "../pausable.js";
import { type CompiledProgram, compileProgram, type HostTensors } from "./compile.js";
import type { CompileOptions, Engine, ReadConstant } from "./engine.js";

/** A model's weights as its programs take them. */
export interface ProgramWeights<Config> {
  readonly config: Config;
  /** Where weights lie. */
  readonly locations: ReadonlyMap<string, WeightLocation>;
  /** The folder that the locations, if any, count from, or the files' contents by name, for an engine without files. */
  readonly externalData?: string | ReadonlyMap<string, Uint8Array>;
  /** Weights that had to be converted, fed at every run. */
  readonly converted: HostTensors;
  /** Names of the weights that are in int8. */
  readonly int8: ReadonlySet<string>;
  /** Number of parameters. */
  readonly size: number;
  /** For programs in bf16, whose weights do not stay in their files. */
  readonly read?: ReadConstant;
}

export interface ProgramsOptions {
  readonly threads?: number | undefined;
  /** See `CompileOptions`. Default "fp32". */
  readonly dtype?: CompileOptions["dtype"];
}

/** What each program of a kind of model computes. */
export type ProgramOutputs<Config, Name extends string> = Readonly<
  Record<Name, (config: Config, int8: ReadonlySet<string>) => Program["outputs"]>
>;

/** Up to this many parameters, rearranged copies of weights are worth the time and the memory for any program. */
export const SMALL_MODEL = 64e6;

/** The programs of a model, compiled when first asked for, over weights that stay where they are. */
export class Programs<Config, Name extends string> {
  readonly #compiled = new Map<Name, Promise<CompiledProgram>>();

  /** @param often programs that run all the time, for which the copies are worth it whatever the model's size */
  constructor(
    private readonly engine: Engine,
    private readonly weights: ProgramWeights<Config>,
    private readonly outputs: ProgramOutputs<Config, Name>,
    private readonly often: readonly Name[],
    private readonly options: ProgramsOptions = {},
  ) {}

  get config(): Config {
    return this.weights.config;
  }

  get isSmall(): boolean {
    return this.weights.size <= SMALL_MODEL;
  }

  get(name: Name): Promise<CompiledProgram> {
    let program = this.#compiled.get(name);
    if (!program) {
      program = this.#compile(name);
      this.#compiled.set(name, program);
    }
    return program;
  }

  async #compile(name: Name): Promise<CompiledProgram> {
    await nextTurn(); // Whoever waits for the event loop goes first.
    const { config, locations, externalData, converted, int8, read } = this.weights;
    const { threads, dtype } = this.options;
    const program = { outputs: this.outputs[name](config, int8) };
    const shared = { ...(threads !== undefined && { threads }) };
    if (dtype === "bf16")
      return compileProgram(this.engine, program, { ...shared, dtype, ...(read && { constants: read }) });
    const compiled = await compileProgram(this.engine, program, {
      ...shared,
      weights: locations,
      ...(externalData !== undefined && { externalData }),
      prepack: this.isSmall || this.often.includes(name),
    });
    return { ...compiled, run: (feeds, into) => compiled.run({ ...converted, ...feeds }, into) };
  }

  async close(): Promise<void> {
    const programs = await Promise.allSettled(this.#compiled.values());
    await Promise.all(
      programs.map((result) => (result.status === "fulfilled" ? result.value.close() : undefined)),
    );
  }
}
