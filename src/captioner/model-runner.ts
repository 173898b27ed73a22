import type { HostTensors } from "../engine/compile.js";
import type { DeviceFeeds } from "../engine/device/device-tensor.js";
import type { HostTensor } from "../engine/engine.js";
import { FloatPool } from "../generation/float-pool.js";
import { HostStepMemory } from "../generation/host-step-memory.js";
import type { StepMemory } from "../generation/step-memory.js";
import type { ModelPrograms } from "./model-programs.js";

/** `cross.N.key`, `cross.N.value` of some pictures, wherever the runner that made them keeps them. */
export type SeenPictures = DeviceFeeds;

/** Runs a captioner's programs, on the processors or elsewhere. */
export interface ModelRunner {
  /** @param pixelValues [pictures, channels, size, size]; the result is to be released */
  encode(pixelValues: HostTensor): Promise<SeenPictures>;
  /** What so many searches of each picture work on. */
  searchMemory(seen: SeenPictures, searches: number): Promise<StepMemory>;
  /** Runs a program that looks at finished captions. */
  run(name: "attention" | "score", seen: SeenPictures, captions: HostTensors): Promise<HostTensors>;
  release(seen: SeenPictures): Promise<void>;
  /** Frees its programs, and weights that it copied. */
  close(): Promise<void>;
}

/** On an engine's own memory, in place. */
export class HostRunner implements ModelRunner {
  readonly #pool = new FloatPool();

  constructor(private readonly programs: ModelPrograms) {}

  async encode(pixelValues: HostTensor): Promise<HostTensors> {
    const { vision, decoder } = this.programs.config;
    const positions = (vision.imageSize / vision.patchSize) ** 2 + 1;
    const size = pixelValues.shape[0]! * positions * decoder.hiddenSize;
    const names = Array.from({ length: decoder.layers }, (_, i) => [`cross.${i}.key`, `cross.${i}.value`]);
    const memory = Object.fromEntries(names.flat().map((name) => [name, this.#pool.take(size)]));
    return (await this.programs.get("encode")).run({ pixelValues }, memory);
  }

  async searchMemory(seen: HostTensors, searches: number): Promise<StepMemory> {
    const { decoder } = this.programs.config;
    return new HostStepMemory(await this.programs.get("decode"), decoder, seen, searches, this.#pool);
  }

  async run(name: "attention" | "score", seen: HostTensors, captions: HostTensors): Promise<HostTensors> {
    return (await this.programs.get(name)).run({ ...seen, ...captions });
  }

  async release(seen: HostTensors): Promise<void> {
    for (const { data } of Object.values(seen)) this.#pool.give(data as Float32Array);
  }

  close(): Promise<void> {
    return this.programs.close();
  }
}
