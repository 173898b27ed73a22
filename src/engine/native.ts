import { availableParallelism } from "node:os";
import { LingolensError } from "../errors.js";
import { onnxElementType } from "../graph/ops/elementwise.js";
import type { CompileOptions, EncodedProgram, Engine, Executable, HostTensor } from "./engine.js";
import { loadOnnxRuntime, type OnnxRuntimeApi, type Pointer } from "./onnxruntime-api.js";
import { onnxRuntimeLibrary } from "./onnxruntime-library.js";

/** What engines of one process share: the library allows one environment. */
interface Runtime {
  readonly api: OnnxRuntimeApi;
  readonly env: Pointer;
  readonly cpu: Pointer;
}

let runtime: Promise<Runtime> | undefined;

async function loadRuntime(): Promise<Runtime> {
  const api = loadOnnxRuntime(await onnxRuntimeLibrary());
  return { api, env: api.createEnv(), cpu: api.createCpuMemoryInfo() };
}

/**
 * ONNX Runtime on this machine's processors, called through its C API.
 * @throws {LingolensError} `engine-unavailable` where the library cannot be found, fetched or loaded
 */
export async function createNativeEngine(): Promise<Engine> {
  runtime ??= loadRuntime();
  // A failure is not kept: the library may be there at the next try.
  const { api, env, cpu } = await runtime.catch((error) => {
    runtime = undefined;
    throw error;
  });
  const open = new Set<NativeExecutable>();
  let closed = false;

  return {
    description: `ONNX Runtime ${api.version}, CPU`,
    async compile(program, options = {}) {
      if (closed) throw handleClosed("engine");
      const settings = sessionOptions(api, program, options);
      try {
        const session = await api.createSession(env, program.bytes, settings);
        const executable = new NativeExecutable(api, cpu, session, program, () => open.delete(executable));
        open.add(executable);
        return executable;
      } finally {
        api.releaseSessionOptions(settings);
      }
    },
    async close() {
      closed = true;
      await Promise.all([...open].map((executable) => executable.close()));
    },
  };
}

function sessionOptions(
  api: OnnxRuntimeApi,
  { externalDataFolder }: EncodedProgram,
  { threads = availableParallelism(), prepack = true }: CompileOptions,
): Pointer {
  const options = api.createSessionOptions();
  api.setThreads(options, threads);
  // Threads wait actively within a run, where the next product is microseconds away, and sleep between runs.
  api.addConfig(options, "session.force_spinning_stop", "1");
  if (!prepack) api.addConfig(options, "session.disable_prepacking", "1");
  if (externalDataFolder !== undefined)
    api.addConfig(options, "session.model_external_initializers_file_folder_path", externalDataFolder);
  return options;
}

class NativeExecutable implements Executable {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly #running = new Set<Promise<void>>();
  #closing: Promise<void> | undefined;

  constructor(
    private readonly api: OnnxRuntimeApi,
    private readonly memory: Pointer,
    private readonly session: Pointer,
    program: EncodedProgram,
    private readonly onClose: () => void,
  ) {
    this.inputs = program.inputs;
    this.outputs = program.outputs;
  }

  async run(
    inputs: Readonly<Record<string, HostTensor>>,
    outputs: Readonly<Record<string, HostTensor>>,
  ): Promise<void> {
    if (this.#closing) throw handleClosed("program");
    const given = [...pick("input", this.inputs, inputs), ...pick("output", this.outputs, outputs)];
    const running = this.#call(given);
    this.#running.add(running);
    try {
      await running;
    } finally {
      this.#running.delete(running);
    }
  }

  /** `tensors` stay referenced until the call has ended, so their memory is not collected under it. */
  async #call(tensors: readonly HostTensor[]): Promise<void> {
    const values: Pointer[] = [];
    try {
      for (const { data, shape, dtype } of tensors)
        values.push(this.api.createTensor(this.memory, data, shape, onnxElementType(dtype)));
      const split = this.inputs.length;
      await this.api.run(this.session, this.inputs, values.slice(0, split), this.outputs, values.slice(split));
    } finally {
      for (const value of values) this.api.releaseTensor(value);
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#finish();
    return this.#closing;
  }

  async #finish(): Promise<void> {
    await Promise.allSettled(this.#running);
    this.api.releaseSession(this.session);
    this.onClose();
  }
}

/** The tensors in the order of `names`, each with memory of the right size. */
function pick(side: string, names: readonly string[], tensors: Readonly<Record<string, HostTensor>>): HostTensor[] {
  return names.map((name) => {
    const tensor = tensors[name];
    if (!tensor) throw new LingolensError("shape-mismatch", `The program's ${side} "${name}" was not given.`);
    const count = tensor.shape.reduce((a, b) => a * b, 1);
    const bytes = count * ELEMENT_BYTES[tensor.dtype];
    if (tensor.data.byteLength !== bytes)
      throw new LingolensError(
        "shape-mismatch",
        `${side} "${name}": expected ${bytes} bytes for ${tensor.dtype}[${tensor.shape.join(", ")}]; got ${tensor.data.byteLength}.`,
      );
    return tensor;
  });
}

const ELEMENT_BYTES = { float32: 4, float16: 2, bfloat16: 2, int64: 8, int32: 4, int8: 1, uint8: 1, bool: 1 };

function handleClosed(what: string): LingolensError {
  return new LingolensError("handle-closed", `This ${what} has been closed; it cannot be used any more.`);
}
