import { LingolensError } from "../../errors.js";
import { type Program, programInputs, programParameters } from "../../graph/onnx.js";
import type { Pointer } from "../../native-library.js";
import { sharedBytes } from "../../shared-memory.js";
import type { Executable, HostTensor } from "../engine.js";
import { checkStatus } from "../onednn/onednn-api.js";
import { matchTensors, type ValueSignature } from "../signature.js";
import { BoundPlan, type PlanContext } from "./bound-plan.js";
import { CallThread, callFunctions, type FailedCall } from "./call-thread.js";

/** Plans kept for each run that goes on at once: batches of the same sizes come again. */
const KEPT_PLANS = 8;

/** A thread, memory to work in, and plans that use it. Each run has one for itself. */
interface Lane {
  readonly thread: CallThread;
  memory: Uint8Array;
  /** By the sizes that each is for, the least recently used first. */
  readonly plans: Map<string, BoundPlan>;
}

/** A program split at its products of matrices, which oneDNN computes in bf16; the rest is ONNX Runtime's. */
export class Bf16Executable implements Executable {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  onClose?: () => void;
  readonly #inputSignatures: readonly ValueSignature[];
  readonly #outputSignatures: readonly ValueSignature[];
  readonly #idle: Lane[] = [];
  readonly #running = new Set<Promise<void>>();
  #closing: Promise<void> | undefined;

  constructor(
    private readonly context: PlanContext,
    private readonly threads: number,
    program: Program,
  ) {
    const signature = ([name, { dtype, shape }]: readonly [
      string,
      Pick<ValueSignature, "dtype" | "shape">,
    ]) => ({
      name,
      dtype,
      shape,
    });
    const parameters = context.constants ? [] : programParameters(program);
    this.#inputSignatures = [...programInputs(program), ...parameters].map(signature);
    this.#outputSignatures = Object.entries(program.outputs).map(signature);
    this.inputs = this.#inputSignatures.map(({ name }) => name);
    this.outputs = this.#outputSignatures.map(({ name }) => name);
  }

  async run(
    inputs: Readonly<Record<string, HostTensor>>,
    outputs: Readonly<Record<string, HostTensor>>,
  ): Promise<void> {
    if (this.#closing)
      throw new LingolensError("handle-closed", "This program has been closed; compile it again.");
    const sizes = new Map<string, number>();
    matchTensors("input", this.#inputSignatures, inputs, sizes);
    matchTensors("output", this.#outputSignatures, outputs, sizes);
    const running = this.#call(inputs, outputs, sizes);
    this.#running.add(running);
    try {
      await running;
    } finally {
      this.#running.delete(running);
    }
  }

  async #call(
    inputs: Readonly<Record<string, HostTensor>>,
    outputs: Readonly<Record<string, HostTensor>>,
    sizes: ReadonlyMap<string, number>,
  ): Promise<void> {
    const lane = this.#idle.pop() ?? this.#newLane();
    try {
      const plan = this.#planFor(lane, inputs, sizes);
      plan.point(inputs, outputs);
      this.#check(await lane.thread.run(plan.calls));
      plan.repeat(inputs, outputs);
    } finally {
      this.#idle.push(lane);
    }
  }

  #newLane(): Lane {
    const { runtime, oneDnn } = this.context;
    const thread = new CallThread(callFunctions(runtime, oneDnn), this.threads);
    return { thread, memory: new Uint8Array(0), plans: new Map() };
  }

  #planFor(
    lane: Lane,
    inputs: Readonly<Record<string, HostTensor>>,
    sizes: ReadonlyMap<string, number>,
  ): BoundPlan {
    const rounded = this.inputs.filter((name) => inputs[name]!.rounded);
    const key = JSON.stringify([[...sizes], rounded]);
    let plan = lane.plans.get(key);
    if (plan) lane.plans.delete(key);
    else {
      for (const [oldKey, old] of lane.plans) {
        if (lane.plans.size < KEPT_PLANS) break;
        lane.plans.delete(oldKey);
        old.close();
      }
      plan = new BoundPlan(this.context, sizes, new Set(rounded));
      if (plan.bytes > lane.memory.length) {
        lane.memory = sharedBytes(plan.bytes);
        for (const other of lane.plans.values()) other.bind(lane.memory);
      }
      plan.bind(lane.memory);
    }
    lane.plans.set(key, plan);
    return plan;
  }

  #check(failure: FailedCall | null): void {
    if (!failure) return;
    const { segment, status } = failure;
    if (segment) this.context.runtime.check(status as Pointer);
    else checkStatus(Number(status));
  }

  close(): Promise<void> {
    this.#closing ??= this.#finish();
    return this.#closing;
  }

  async #finish(): Promise<void> {
    await Promise.allSettled(this.#running);
    for (const { thread, plans } of this.#idle) {
      await thread.close();
      for (const plan of plans.values()) plan.close();
    }
    this.context.primitives.close();
    for (const session of this.context.sessions.values()) this.context.runtime.releaseSession(session);
    this.onClose?.();
  }
}
