import type { HostTensors } from "../engine/compile.js";
import type { DeviceEngine } from "../engine/device/device-engine.js";
import type { DeviceProgram } from "../engine/device/device-program.js";
import type { DeviceTensor } from "../engine/device/device-tensor.js";
import type { HostTensor } from "../engine/engine.js";
import { concat, gather, input, multiplyDimensions, type Program, reshape } from "../graph/index.js";
import { keyValueInputs, keyValueNames, type SearchedModel } from "../model/search-step.js";
import type { KeyValue } from "../nn/attention.js";
import type { StepMemory } from "./step-memory.js";

type Decoder = SearchedModel["decoder"];
type DeviceTensors = Readonly<Record<string, DeviceTensor>>;

/** What searches on a device run. */
export interface DeviceSearchPrograms {
  /** `searchStep`, fed its weights or having them. */
  readonly step: Pick<DeviceProgram, "run" | "memoryFor">;
  readonly append: DeviceProgram;
  readonly select: DeviceProgram;
  readonly pick: DeviceProgram;
}

/** cache.N.*, own.N.* → next.N.*: one behind the other. */
export function appendProgram({ layers, heads, hiddenSize }: Decoder): Program {
  const pairs = (name: string, slots: string) =>
    keyValueInputs(name, layers, ["rows", heads, slots, hiddenSize / heads]);
  const own = pairs("own", "length");
  const next = pairs("cache", "slots").map(({ key, value }, layer) => ({
    key: concat([key, own[layer]!.key], 2),
    value: concat([value, own[layer]!.value], 2),
  }));
  return { outputs: keyValueNames("next", next) };
}

/** cache.N.*, kept [rows, heads, slots] → next.N.*: the slots at these places, counted through all rows and heads. */
export function selectProgram({ layers, heads, hiddenSize }: Decoder): Program {
  const size = hiddenSize / heads;
  const kept = input("kept", "int64", ["rows", heads, "slots"]);
  const places = multiplyDimensions("oldRows", heads, "oldSlots");
  const select = ({ key, value }: KeyValue): KeyValue => ({
    key: gather(reshape(key, [places, size]), kept),
    value: gather(reshape(value, [places, size]), kept),
  });
  const cache = keyValueInputs("cache", layers, ["oldRows", heads, "oldSlots", size]);
  return { outputs: keyValueNames("next", cache.map(select)) };
}

/** cross.N.*, kept [pictures] → next.N.*: of the pictures at these places. */
export function pickProgram({ layers, heads, hiddenSize }: Decoder): Program {
  const kept = input("kept", "int64", ["pictures"]);
  const cross = keyValueInputs("cross", layers, ["oldPictures", heads, "positions", hiddenSize / heads]);
  const next = cross.map(({ key, value }) => ({ key: gather(key, kept), value: gather(value, kept) }));
  return { outputs: keyValueNames("next", next) };
}

/** What a step gives to the searches. */
const RESULTS = ["logSumExp", "topLogits", "topIds", "editedLogits"];

/** Slots from which on those that nobody needs are given up: enough for the first fifteen steps of four beams. */
const FIRST_LIMIT = 64;

/**
 * Keys and values in a device's memory. A step's are put behind those before: there are no empty slots, but for a first one
 * that no token sees, as a device has no tensors without elements.
 */
export class DeviceStepMemory implements StepMemory {
  #rows: number;
  #used = 0;
  #limit = FIRST_LIMIT;
  #cache: DeviceTensors | undefined;
  /** What is fed at every step, pictures first; the caller's until pictures are forgotten. */
  #cross: DeviceTensors;
  readonly #given: DeviceTensors;

  constructor(
    private readonly device: DeviceEngine,
    private readonly programs: DeviceSearchPrograms,
    private readonly decoder: Decoder,
    cross: DeviceTensors,
    searches: number,
  ) {
    this.#given = cross;
    this.#cross = cross;
    this.#rows = this.pictures * searches;
  }

  get pictures(): number {
    return Object.values(this.#cross)[0]!.shape[0]!;
  }

  get rows(): number {
    return this.#rows;
  }

  get slots(): number {
    return Math.max(1, this.#used);
  }

  get used(): number {
    return this.#used;
  }

  hasRoom(length: number): boolean {
    return this.#used + length <= this.#limit;
  }

  async step(feeds: HostTensors, length: number): Promise<HostTensors> {
    const { step, append } = this.programs;
    const all = { ...this.#cross, ...(this.#cache ?? this.#emptyCache()), ...feeds };
    const results = step.memoryFor(all, RESULTS);
    const own = await step.run(all, results);
    if (this.#cache) {
      const next = await append.run({ ...this.#cache, ...own });
      await this.device.release([...Object.values(this.#cache), ...Object.values(own)]);
      this.#cache = renamed(next, "cache");
    } else this.#cache = renamed(own, "cache");
    this.#used += length;
    return results;
  }

  async rebuild(
    kept: readonly number[],
    needed: readonly (readonly number[])[],
    length: number,
  ): Promise<void> {
    const used = Math.max(0, ...needed.map((slots) => slots.length));
    // Room for as much again, so that the work of moving stays a small share.
    while (this.#limit < 2 * used + length) this.#limit *= 2;
    if (this.#cache) {
      const before = this.#cache;
      const places = used > 0 ? this.#places(kept, needed, used) : undefined;
      this.#cache = places && renamed(await this.programs.select.run({ ...before, kept: places }), "cache");
      await this.device.release(Object.values(before));
    }
    this.#rows = kept.length;
    this.#used = used;
  }

  /** [rows, heads, used]: where each slot is, counted through all rows and heads. Rows that need fewer get any. */
  #places(kept: readonly number[], needed: readonly (readonly number[])[], used: number): HostTensor {
    const { heads } = this.decoder;
    const data = new BigInt64Array(kept.length * heads * used);
    kept.forEach((oldRow, row) => {
      for (let head = 0; head < heads; head++)
        for (let i = 0; i < used; i++) {
          const place = (oldRow * heads + head) * this.#used + (needed[row]![i] ?? 0);
          data[(row * heads + head) * used + i] = BigInt(place);
        }
    });
    return { dtype: "int64", shape: [kept.length, heads, used], data };
  }

  async keepPictures(pictures: readonly number[]): Promise<void> {
    const kept = int64(pictures);
    const next = await this.programs.pick.run({ ...this.#cross, kept });
    await this.#forgetCross();
    this.#cross = renamed(next, "cross");
  }

  async close(): Promise<void> {
    await this.#forgetCross();
    await this.device.release(Object.values(this.#cache ?? {}));
    this.#cache = undefined;
  }

  async #forgetCross(): Promise<void> {
    if (this.#cross !== this.#given) await this.device.release(Object.values(this.#cross));
    this.#cross = this.#given;
  }

  #emptyCache(): HostTensors {
    const { layers, heads, hiddenSize } = this.decoder;
    const shape = [this.#rows, heads, 1, hiddenSize / heads];
    const empty: HostTensor = { dtype: "float32", shape, data: new Float32Array(this.#rows * hiddenSize) };
    const names = Array.from({ length: layers }, (_, i) => [`cache.${i}.key`, `cache.${i}.value`]).flat();
    return Object.fromEntries(names.map((name) => [name, empty]));
  }
}

/** `own.0.key` becomes `cache.0.key`. */
function renamed(tensors: DeviceTensors, group: string): DeviceTensors {
  return Object.fromEntries(
    Object.entries(tensors).map(([name, tensor]) => [name.replace(/^\w+/, group), tensor]),
  );
}

const int64 = (values: readonly number[]): HostTensor => ({
  dtype: "int64",
  shape: [values.length],
  data: BigInt64Array.from(values, BigInt),
});
