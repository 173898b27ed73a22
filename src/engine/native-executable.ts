import { LingolensError } from "../errors.js";
import { onnxElementType } from "../graph/ops/elementwise.js";
import type { Pointer } from "../native-library.js";
import type { Executable, HostTensor } from "./engine.js";
import { NameList, type OnnxRuntimeApi, type ValueInfo } from "./onnxruntime-api.js";
import { DTYPES, matchTensors, type ValueSignature } from "./signature.js";
import type { Turns } from "./turns.js";

/** A session of ONNX Runtime over tensors in the caller's memory. */
export class NativeExecutable implements Executable {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  onClose?: () => void;
  /** Each run with the tensors whose memory it uses: held here, they are not collected under it. */
  readonly #running = new Map<Promise<void>, readonly HostTensor[]>();
  #closing: Promise<void> | undefined;
  readonly #inputNames: NameList;
  readonly #outputNames: NameList;

  private constructor(
    private readonly api: OnnxRuntimeApi,
    /** Describes the caller's memory. */
    private readonly memory: Pointer,
    private readonly session: Pointer,
    private readonly inputSignatures: readonly ValueSignature[],
    private readonly outputSignatures: readonly ValueSignature[],
    private readonly turns: Turns | undefined,
  ) {
    this.inputs = inputSignatures.map(({ name }) => name);
    this.outputs = outputSignatures.map(({ name }) => name);
    this.#inputNames = new NameList(this.inputs);
    this.#outputNames = new NameList(this.outputs);
  }

  /**
   * Takes the session over, to release it when closed or here if it cannot be used.
   * @param turns with what else its runs take turns. Default: nothing
   */
  static of(api: OnnxRuntimeApi, memory: Pointer, session: Pointer, turns?: Turns): NativeExecutable {
    try {
      const inputs = api.sessionInputs(session).map(signatureOf);
      const outputs = api.sessionOutputs(session).map(signatureOf);
      return new NativeExecutable(api, memory, session, inputs, outputs, turns);
    } catch (error) {
      api.releaseSession(session);
      throw error;
    }
  }

  async run(
    inputs: Readonly<Record<string, HostTensor>>,
    outputs: Readonly<Record<string, HostTensor>>,
  ): Promise<void> {
    if (this.#closing)
      throw new LingolensError("handle-closed", "This program has been closed; compile it again.");
    const sizes = new Map<string, number>();
    const read = matchTensors("input", this.inputSignatures, inputs, sizes);
    const written = matchTensors("output", this.outputSignatures, outputs, sizes);
    const call = () => this.#call(read, written);
    const running = this.turns ? this.turns.take(call) : call();
    this.#running.set(running, [...read, ...written]);
    try {
      await running;
    } finally {
      this.#running.delete(running);
    }
  }

  async #call(read: readonly HostTensor[], written: readonly HostTensor[]): Promise<void> {
    const made: Pointer[] = [];
    try {
      for (const { data, shape, dtype } of [...read, ...written])
        made.push(this.api.createTensor(this.memory, data, shape, onnxElementType(dtype)));
      const inputs = BigUint64Array.from(made.slice(0, read.length));
      const outputs = BigUint64Array.from(made.slice(read.length));
      await this.api.run(this.session, this.#inputNames, inputs, this.#outputNames, outputs);
    } finally {
      for (const tensor of made) this.api.releaseTensor(tensor);
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#finish();
    return this.#closing;
  }

  async #finish(): Promise<void> {
    await Promise.allSettled(this.#running.keys());
    const release = async () => this.api.releaseSession(this.session);
    await (this.turns ? this.turns.take(release) : release());
    this.onClose?.();
  }
}

/** What an input or output of a session is, in our names. */
export function signatureOf({ name, elementType, dimensions, dimensionNames }: ValueInfo): ValueSignature {
  const dtype = DTYPES.find((candidate) => onnxElementType(candidate) === elementType);
  if (!dtype)
    throw new LingolensError(
      "option-unsupported",
      `The program's "${name}" has ONNX element type ${elementType}; expected one of ${DTYPES.join(", ")}.`,
    );
  return { name, dtype, shape: dimensions.map((size, axis) => (size < 0 ? dimensionNames[axis]! : size)) };
}
