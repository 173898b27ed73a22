import { LingolensError } from "../../errors.js";
import type { Program } from "../../graph/index.js";
import { onnxElementType } from "../../graph/ops/elementwise.js";
import { evaluateDimension } from "../../graph/shape.js";
import type { Pointer } from "../../native-library.js";
import { allocate, type HostTensors } from "../compile.js";
import type { HostTensor } from "../engine.js";
import type { Runtime } from "../native.js";
import { signatureOf } from "../native-executable.js";
import { matchTensors, type ValueSignature } from "../signature.js";
import type { Turns } from "../turns.js";
import { type DeviceFeeds, type DeviceTensor, isOnDevice } from "./device-tensor.js";

/** Where a program's session runs. */
export interface DeviceSession {
  readonly runtime: Runtime;
  readonly session: Pointer;
  /** Describes the device's memory. */
  readonly memory: Pointer;
  readonly turns: Turns;
}

type Output = Omit<HostTensor, "data"> & { readonly name: string };

/** A program whose results stay on the device, but for those that are asked for. */
export class DeviceProgram {
  onClose?: () => void;
  readonly #inputs: readonly ValueSignature[];
  #closing: Promise<void> | undefined;

  /** Takes the session over, to release it when closed. */
  constructor(
    private readonly program: Program,
    private readonly device: DeviceSession,
  ) {
    const { runtime, session } = device;
    this.#inputs = runtime.api.sessionInputs(session).map(signatureOf);
  }

  /**
   * Runs once, off the calling thread.
   * @param feeds may hold more than the program reads
   * @param home memory of the caller, such as `memoryFor` gives, for the outputs that are copied to it
   * @returns the other outputs, each to be released
   * @throws {LingolensError} as `Executable.run`
   */
  async run(feeds: DeviceFeeds, home: HostTensors = {}): Promise<Record<string, DeviceTensor>> {
    if (this.#closing)
      throw new LingolensError("handle-closed", "This program has been closed; compile it again.");
    const sizes = new Map<string, number>();
    const read = matchTensors("input", this.#inputs, feeds, sizes);
    const outputs = this.#outputs(sizes);
    const copied = outputs.filter(({ name }) => home[name]);
    matchTensors("output", copied, home, sizes);
    return this.device.turns.take(() => this.#run(read, outputs, home));
  }

  /** Memory of the size that outputs have for these feeds; of all outputs unless named. */
  memoryFor(
    feeds: DeviceFeeds,
    names: readonly string[] = Object.keys(this.program.outputs),
  ): Record<string, HostTensor> {
    const sizes = new Map<string, number>();
    matchTensors("input", this.#inputs, feeds, sizes);
    const memory = this.#outputs(sizes)
      .filter(({ name }) => names.includes(name))
      .map(({ name, dtype, shape }) => {
        const data = allocate(
          dtype,
          shape.reduce((a, b) => a * b, 1),
        );
        return [name, { dtype, shape, data }] as const;
      });
    return Object.fromEntries(memory);
  }

  #outputs(sizes: ReadonlyMap<string, number>): Output[] {
    return Object.entries(this.program.outputs).map(([name, { dtype, shape }]) => ({
      name,
      dtype,
      shape: shape.map((dimension) => evaluateDimension(dimension, sizes)),
    }));
  }

  async #run(
    read: readonly (DeviceTensor | HostTensor)[],
    outputs: readonly Output[],
    home: HostTensors,
  ): Promise<Record<string, DeviceTensor>> {
    const { runtime, session, memory } = this.device;
    const { api } = runtime;
    const lent: Pointer[] = [];
    const lend = ({ data, shape, dtype }: HostTensor) => {
      const value = api.createTensor(runtime.cpu, data, shape, onnxElementType(dtype));
      lent.push(value);
      return value;
    };
    const binding = api.createBinding(session);
    try {
      for (const [i, tensor] of read.entries()) {
        const { name } = this.#inputs[i]!;
        if (isOnDevice(tensor)) api.bindInput(binding, name, tensor.value);
        else await api.bindCopiedInput(binding, name, lend(tensor));
      }
      for (const { name } of outputs) {
        if (home[name]) api.bindOutput(binding, name, lend(home[name]));
        else api.bindNewOutput(binding, name, memory);
      }
      await api.runBinding(session, binding);
      const results: Record<string, DeviceTensor> = {};
      for (const [i, value] of api.boundOutputs(binding).entries()) {
        const { name, dtype, shape } = outputs[i]!;
        if (home[name]) api.releaseTensor(value);
        else results[name] = { dtype, shape, value };
      }
      return results;
    } finally {
      api.releaseBinding(binding);
      for (const value of lent) api.releaseTensor(value);
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.device.turns.take(async () => {
      this.device.runtime.api.releaseSession(this.device.session);
      this.onClose?.();
    });
    return this.#closing;
  }
}
