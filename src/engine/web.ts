import type { InferenceSession, Tensor } from "onnxruntime-web";
import { LingolensError } from "../errors.js";
import type { CompileOptions, EncodedProgram, Engine, Executable, HostTensor } from "./engine.js";
import { Turns } from "./turns.js";

export interface WebEngineOptions {
  /** Where to compute. Default "auto": on the GPU where the browser offers WebGPU, else in WebAssembly. */
  readonly device?: "auto" | "webgpu" | "wasm";
  /** Threads of WebAssembly, which the page must be cross-origin isolated for. Default: the browser's processors, at most 4. */
  readonly threads?: number;
  /** URL of the folder with onnxruntime-web's .wasm files. Default: beside its scripts. */
  readonly wasmPaths?: string;
}

/** What is used of onnxruntime-web; its entries for WebGPU and for WebAssembly alone both have it. */
type OnnxRuntimeWeb = Pick<typeof import("onnxruntime-web"), "env" | "InferenceSession" | "Tensor">;

/**
 * ONNX Runtime in a browser, by the package onnxruntime-web.
 * @throws {LingolensError} `engine-unavailable` where it cannot be loaded, or "webgpu" is asked for and not there
 */
export async function createWebEngine({
  device = "auto",
  threads,
  wasmPaths,
}: WebEngineOptions = {}): Promise<Engine> {
  const gpu = device !== "wasm" && (await hasWebGpu());
  if (device === "webgpu" && !gpu)
    throw new LingolensError(
      "engine-unavailable",
      "This browser offers no WebGPU. Leave the device out, to compute in WebAssembly.",
    );
  const runtime = await loadRuntime(gpu);
  if (wasmPaths !== undefined) runtime.env.wasm.wasmPaths = wasmPaths;
  if (threads !== undefined) runtime.env.wasm.numThreads = threads;
  // WebAssembly and the GPU's queue are each one for all: a run that begins during another would be refused.
  const turns = new Turns(1);
  const open = new Set<WebExecutable>();
  return {
    description: `ONNX Runtime Web ${runtime.env.versions.web}, ${gpu ? "WebGPU" : "WebAssembly"}`,
    async compile(program, options) {
      const session = await turns.take(() => createSession(runtime, program, options, gpu));
      const executable = new WebExecutable(runtime, session, turns, () => open.delete(executable));
      open.add(executable);
      return executable;
    },
    async close() {
      await Promise.all([...open].map((executable) => executable.close()));
    },
  };
}

async function hasWebGpu(): Promise<boolean> {
  const { gpu } = globalThis.navigator as { gpu?: { requestAdapter(): Promise<unknown> } };
  return gpu !== undefined && (await gpu.requestAdapter().catch(() => null)) !== null;
}

async function loadRuntime(gpu: boolean): Promise<OnnxRuntimeWeb> {
  try {
    return gpu ? await import("onnxruntime-web/webgpu") : await import("onnxruntime-web/wasm");
  } catch (cause) {
    throw new LingolensError(
      "engine-unavailable",
      `onnxruntime-web cannot be loaded; install it beside lingolens (npm install onnxruntime-web). ${(cause as Error).message}`,
      { cause },
    );
  }
}

async function createSession(
  { InferenceSession }: OnnxRuntimeWeb,
  { bytes, externalData }: EncodedProgram,
  { prepack = true }: CompileOptions = {},
  gpu: boolean,
): Promise<InferenceSession> {
  if (typeof externalData === "string")
    throw new LingolensError(
      "option-unsupported",
      "The web engine takes the contents of a program's external data; got a folder.",
    );
  try {
    return await InferenceSession.create(bytes, {
      executionProviders: gpu ? ["webgpu", "wasm"] : ["wasm"],
      logSeverityLevel: 4,
      ...(externalData && { externalData: [...externalData].map(([path, data]) => ({ path, data })) }),
      ...(!prepack && { extra: { session: { disable_prepacking: "1" } } }),
    });
  } catch (cause) {
    throw failure(cause);
  }
}

class WebExecutable implements Executable {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  #closing: Promise<void> | undefined;

  constructor(
    private readonly runtime: OnnxRuntimeWeb,
    private readonly session: InferenceSession,
    private readonly turns: Turns,
    private readonly onClose: () => void,
  ) {
    this.inputs = session.inputNames;
    this.outputs = session.outputNames;
  }

  async run(
    inputs: Readonly<Record<string, HostTensor>>,
    outputs: Readonly<Record<string, HostTensor>>,
  ): Promise<void> {
    if (this.#closing)
      throw new LingolensError("handle-closed", "This program has been closed; compile it again.");
    const feeds: Record<string, Tensor> = {};
    for (const name of this.inputs) feeds[name] = this.#tensor(name, inputs[name]);
    const results = await this.turns.take(async () => {
      try {
        return await this.session.run(feeds, Object.keys(outputs));
      } catch (cause) {
        throw failure(cause);
      }
    });
    for (const [name, { data, shape }] of Object.entries(outputs)) {
      const result = results[name]!;
      if (`${result.dims}` !== `${shape}`)
        throw new LingolensError(
          "shape-mismatch",
          `output "${name}": expected [${shape}]; the program gave [${result.dims}].`,
        );
      data.set(result.data as never); // of one type, which TypeScript cannot see
      result.dispose();
    }
  }

  #tensor(name: string, given: HostTensor | undefined): Tensor {
    if (!given) throw new LingolensError("shape-mismatch", `The program's input "${name}" was not given.`);
    const { dtype, data, shape } = given;
    if (dtype === "bfloat16")
      throw new LingolensError("option-unsupported", `input "${name}": browsers have no bfloat16.`);
    return new this.runtime.Tensor(dtype, data as never, shape);
  }

  close(): Promise<void> {
    this.#closing ??= this.turns.take(async () => {
      await this.session.release();
      this.onClose();
    });
    return this.#closing;
  }
}

function failure(cause: unknown): LingolensError {
  const message = cause instanceof Error ? cause.message : String(cause);
  const outOfMemory = /bad_alloc|out of memory|failed to allocate|memory access out of bounds/i.test(message);
  return new LingolensError(outOfMemory ? "out-of-memory" : "engine-failed", `ONNX Runtime Web: ${message}`, {
    cause,
  });
}
