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

  async encode({ dtype, shape, data }: HostTensor): Promise<HostTensors> {
    const { decoder } = this.programs.config;
    const [pictures, ...picture] = shape as [number, ...number[]];
    const width = this.#positions * decoder.hiddenSize;
    const names = Array.from({ length: decoder.layers }, (_, i) => [`cross.${i}.key`, `cross.${i}.value`]);
    const memory = names.flat().map((name) => [name, this.#pool.take(pictures * width)] as const);
    const program = await this.programs.get("encode");
    const pixels = data.length / pictures;
    const most = this.#picturesAtOnce;
    for (let first = 0; first < pictures; first += most) {
      const end = Math.min(first + most, pictures);
      const part = data.subarray(first * pixels, end * pixels);
      await program.run(
        { pixelValues: { dtype, shape: [end - first, ...picture], data: part } },
        Object.fromEntries(memory.map(([name, all]) => [name, all.subarray(first * width, end * width)])),
      );
    }
    const each = [decoder.heads, this.#positions, decoder.hiddenSize / decoder.heads];
    return Object.fromEntries(
      memory.map(([name, all]) => {
        return [name, { dtype, shape: [pictures, ...each], data: all.subarray(0, pictures * width) }];
      }),
    );
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

  /** What the decoder sees of a picture. */
  get #positions(): number {
    const { imageSize, patchSize } = this.programs.config.vision;
    return (imageSize / patchSize) ** 2 + 1;
  }

  /** A large model's weights are read once for all pictures; a small one's stay in the cache, where pictures should, too. */
  get #picturesAtOnce(): number {
    if (!this.programs.isSmall) return Number.POSITIVE_INFINITY;
    const { intermediateSize } = this.programs.config.vision;
    const bytes = this.#positions * intermediateSize * Float32Array.BYTES_PER_ELEMENT;
    return Math.max(1, Math.floor(CACHE / bytes));
  }
}

/** Bytes of a layer's widest result that leave room for what it is made of in the cache of a processor's core. */
const CACHE = 2 ** 20;
