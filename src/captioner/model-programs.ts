import { realpath } from "node:fs/promises";
import { dirname, relative, sep } from "node:path";
import { type CompiledProgram, compileProgram, type HostTensors } from "../engine/compile.js";
import type { DType, Engine } from "../engine/engine.js";
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
import { SCALE_SUFFIX, SMOOTHING_SUFFIX } from "../weights/int8-weights.js";
import type { ModelFolder } from "../weights/model-folder.js";
import type { TensorLocation } from "../weights/safetensors.js";

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

/** The programs of a model, compiled when first asked for, over weights that stay in their files. */
export class ModelPrograms {
  readonly #compiled = new Map<ProgramName, Promise<CompiledProgram>>();

  private constructor(
    private readonly engine: Engine,
    private readonly folder: ModelFolder,
    private readonly locations: ReadonlyMap<string, WeightLocation>,
    /** The folder that the locations count from. */
    private readonly externalDataFolder: string,
    /** Weights that had to be converted, fed at every run. */
    private readonly converted: HostTensors,
    private readonly threads: number | undefined,
  ) {}

  static async open(engine: Engine, folder: ModelFolder, threads?: number): Promise<ModelPrograms> {
    const locations = new Map<string, WeightLocation>();
    const files = await realFiles(folder);
    const externalDataFolder = commonFolder(folder.path, [...files.values()]);
    const converted: Record<string, HostTensors[string]> = {};
    const locate = (name: string, dtype: DType, { file, offset, length }: TensorLocation): void => {
      const path = relative(externalDataFolder, files.get(file)!).replaceAll(sep, "/");
      locations.set(name, { file: path, dtype, offset, byteLength: length });
    };
    for (const [name, { location, int8, shape, read }] of folder.weights) {
      if (location) locate(name, "float32", location);
      else if (int8) {
        locate(name, "int8", int8.steps);
        locate(name + SCALE_SUFFIX, "float32", int8.scale);
        locate(name + SMOOTHING_SUFFIX, "float32", int8.smoothing);
      } else converted[name] = { dtype: "float32", shape, data: await read() };
    }
    return new ModelPrograms(engine, folder, locations, externalDataFolder, converted, threads);
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
    await new Promise(setImmediate); // Whoever waits for the event loop goes first.
    const int8 = [...this.folder.weights].flatMap(([weight, { int8 }]) => (int8 ? [weight] : []));
    const outputs = OUTPUTS[name](this.folder.config, new Set(int8));
    const size = [...this.folder.weights.values()].reduce(
      (sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1),
      0,
    );
    const program = await compileProgram(
      this.engine,
      { outputs },
      {
        weights: this.locations,
        externalDataFolder: this.externalDataFolder,
        prepack: size <= SMALL_MODEL || OFTEN_RUN.includes(name),
        ...(this.threads !== undefined && { threads: this.threads }),
      },
    );
    return { ...program, run: (feeds, into) => program.run({ ...this.converted, ...feeds }, into) };
  }

  async close(): Promise<void> {
    const programs = await Promise.allSettled(this.#compiled.values());
    await Promise.all(
      programs.map((result) => (result.status === "fulfilled" ? result.value.close() : undefined)),
    );
  }
}

/**
 * Where the files with weights really are. In the hub's cache a model's folder holds links, and ONNX Runtime reads
 * nothing that is outside of the folder it is given.
 */
async function realFiles({ weights }: ModelFolder): Promise<Map<string, string>> {
  const files = new Set(
    [...weights.values()].flatMap(({ location, int8 }) => {
      return [...(location ? [location] : []), ...Object.values(int8 ?? {})].map(({ file }) => file);
    }),
  );
  return new Map(await Promise.all([...files].map(async (file) => [file, await realpath(file)] as const)));
}

/** The deepest folder that holds all the files; `none` where there are no files. */
function commonFolder(none: string, files: readonly string[]): string {
  let folder = files[0] === undefined ? none : dirname(files[0]);
  while (files.some((file) => relative(folder, file).startsWith(".."))) folder = dirname(folder);
  return folder;
}
