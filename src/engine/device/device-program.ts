import { LingolensError } from "../../errors.js";
import type { Program } from "../../graph/index.js";
import { onnxElementType } from "../../graph/ops/elementwise.js";
import { evaluateDimension } from "../../graph/shape.js";
import type { HostTensor, TensorData } from "../engine.js";
import type { Runtime } from "../native.js";
import { signatureOf } from "../native-executable.js";
import type { Pointer } from "../onnxruntime-api.js";
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
   * @param home memory of the caller for the outputs that are copied to it
   * @returns the other outputs, each to be released
   * @throws {LingolensError} as `Executable.run`
   */
  async run(
    feeds: DeviceFeeds,
    home: Readonly<Record<string, TensorData>> = {},
  ): Promise<Record<string, DeviceTensor>> {
    if (this.#closing)
      throw new LingolensError("handle-closed", "This program has been closed; compile it again.");
    const sizes = new Map<string, number>();
    const read = matchTensors("input", this.#inputs, feeds, sizes);
    const outputs = Object.entries(this.program.outputs).map(([name, { dtype, shape }]) => ({
      name,
      dtype,
      shape: shape.map((dimension) => evaluateDimension(dimension, sizes)),
    }));
    return this.device.turns.take(() => this.#run(read, outputs, home));
  }

  async #run(
    read: readonly (DeviceTensor | HostTensor)[],
    outputs: readonly Output[],
    home: Readonly<Record<string, TensorData>>,
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
        const value = isOnDevice(tensor) ? tensor.value : lend(tensor);
        await api.bindInput(binding, this.#inputs[i]!.name, value);
      }
      for (const { name, dtype, shape } of outputs) {
        const data = home[name];
        if (data) api.bindOutput(binding, name, lend({ dtype, shape, data }));
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
