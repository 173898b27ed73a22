import type { HostTensors } from "../engine/compile.js";
import type { DeviceEngine } from "../engine/device/device-engine.js";
import type { DeviceProgram } from "../engine/device/device-program.js";
import type { DeviceFeeds, DeviceTensor } from "../engine/device/device-tensor.js";
import type { HostTensor } from "../engine/engine.js";
import type { ProgramWeights } from "../engine/programs.js";
import {
  appendProgram,
  type DeviceSearchPrograms,
  DeviceStepMemory,
  pickProgram,
  selectProgram,
} from "../generation/device-step-memory.js";
import type { StepMemory } from "../generation/step-memory.js";
import type { Program } from "../graph/index.js";
import { attentionOutputs, decodeOutputs, encodeOutputs, scoreOutputs } from "../model/captioner.js";
import type { CaptionerConfig } from "../model/config.js";
import type { ModelRunner } from "./model-runner.js";

type DeviceTensors = Readonly<Record<string, DeviceTensor>>;

const OUTPUTS = {
  encode: encodeOutputs,
  decode: decodeOutputs,
  attention: attentionOutputs,
  score: (config: CaptionerConfig) => scoreOutputs(config, "cross"),
} satisfies Record<string, (config: CaptionerConfig) => Program["outputs"]>;

/** Of a program, what its callers need, its weights seen to. */
type Ready = Pick<DeviceProgram, "run" | "memoryFor">;

/** Keeps weights, what the model makes of pictures, and keys and values of tokens on a device. */
export class DeviceRunner implements ModelRunner {
  readonly #programs = new Map<string, Promise<DeviceProgram>>();
  #onClose = async (): Promise<void> => {};

  /**
   * @param fed the weights, in float32, that are on the device
   * @param files those that are read from files
   */
  constructor(
    private readonly device: DeviceEngine,
    private readonly config: CaptionerConfig,
    private readonly fed: () => Promise<DeviceTensors> | DeviceTensors,
    private readonly files: Pick<ProgramWeights<CaptionerConfig>, "locations" | "externalData"> = {
      locations: new Map(),
    },
  ) {}

  /** With a model's weights; those that lie in no file as they are taken are copied to the device when first needed. */
  static of(device: DeviceEngine, weights: ProgramWeights<CaptionerConfig>): DeviceRunner {
    let copies: Promise<DeviceTensors> | undefined;
    const upload = async (): Promise<DeviceTensors> => {
      const tensors: Record<string, DeviceTensor> = {};
      for (const [name, tensor] of Object.entries(weights.converted))
        tensors[name] = await device.upload(tensor);
      return tensors;
    };
    const fed = () => {
      copies ??= upload();
      return copies;
    };
    const runner = new DeviceRunner(device, weights.config, fed, weights);
    runner.#onClose = async () => device.release(Object.values((await copies) ?? {}));
    return runner;
  }

  async encode(pixelValues: HostTensor): Promise<DeviceTensors> {
    return (await this.#model("encode")).run({ pixelValues });
  }

  async searchMemory(seen: DeviceFeeds, searches: number): Promise<StepMemory> {
    const { decoder } = this.config;
    const programs: DeviceSearchPrograms = {
      step: await this.#model("decode"),
      append: await this.#get("append", () => appendProgram(decoder)),
      select: await this.#get("select", () => selectProgram(decoder)),
      pick: await this.#get("pick", () => pickProgram(decoder)),
    };
    return new DeviceStepMemory(this.device, programs, decoder, seen as DeviceTensors, searches);
  }

  async run(name: "attention" | "score", seen: DeviceFeeds, captions: HostTensors): Promise<HostTensors> {
    const program = await this.#model(name);
    const feeds = { ...seen, ...captions };
    const results = program.memoryFor(feeds);
    await program.run(feeds, results);
    return results;
  }

  release(seen: DeviceFeeds): Promise<void> {
    return this.device.release(Object.values(seen as DeviceTensors));
  }

  async #model(name: keyof typeof OUTPUTS): Promise<Ready> {
    const program = await this.#get(name, () => ({ outputs: OUTPUTS[name](this.config) }));
    const fed = await this.fed();
    return {
      run: (feeds, home) => program.run({ ...fed, ...feeds }, home),
      memoryFor: (feeds, names) => program.memoryFor({ ...fed, ...feeds }, names),
    };
  }

  #get(name: string, make: () => Program): Promise<DeviceProgram> {
    let program = this.#programs.get(name);
    if (!program) {
      const { locations, externalData } = this.files;
      program = this.device.compileResident(make(), {
        weights: locations,
        ...(externalData !== undefined && { externalData }),
      });
      this.#programs.set(name, program);
    }
    return program;
  }

  async close(): Promise<void> {
    const programs = await Promise.allSettled(this.#programs.values());
    await Promise.all(programs.map((one) => (one.status === "fulfilled" ? one.value.close() : undefined)));
    await this.#onClose();
  }
}
