import { availableParallelism } from "node:os";
import { LingolensError } from "../errors.js";
import type { Pointer } from "../native-library.js";
import type { CompileOptions, EncodedProgram, Engine } from "./engine.js";
import { NativeExecutable } from "./native-executable.js";
import { OnnxRuntimeApi } from "./onnxruntime-api.js";
import { type LibraryOptions, onnxRuntimeLibrary } from "./onnxruntime-library.js";
import { OpenPrograms } from "./open-programs.js";

/** What the engines of one process share. It stays for the life of the process. */
export interface Runtime {
  readonly api: OnnxRuntimeApi;
  readonly env: Pointer;
  readonly cpu: Pointer;
}

let runtime: Promise<Runtime> | undefined;

async function loadRuntime(options: LibraryOptions): Promise<Runtime> {
  const api = OnnxRuntimeApi.load(await onnxRuntimeLibrary(options));
  return { api, env: api.createEnv(), cpu: api.createCpuMemoryInfo() };
}

/**
 * The first call of a process finds the library, and fetches it once where it is not there yet.
 * @throws {LingolensError} `engine-unavailable` where the library cannot be found, fetched or loaded
 */
export function nativeRuntime(options: LibraryOptions = {}): Promise<Runtime> {
  runtime ??= loadRuntime(options).catch((error) => {
    // A failure is not kept: the library may be there at the next try.
    runtime = undefined;
    throw error;
  });
  return runtime;
}

/**
 * A session for a program, to be released by whoever asks for it.
 * @param config further session options
 * @param provide given the session's options, adds what runs programs elsewhere than on the processors
 */
export async function createSession(
  { api, env }: Runtime,
  program: EncodedProgram,
  options: CompileOptions,
  config: Readonly<Record<string, string>> = {},
  provide?: (options: Pointer) => void,
): Promise<Pointer> {
  const settings = api.createSessionOptions(threadsOf(options), {
    ...sessionConfig(program, options),
    ...config,
  });
  try {
    provide?.(settings);
    return await api.createSession(env, program.bytes, settings);
  } finally {
    api.releaseSessionOptions(settings);
  }
}

/**
 * ONNX Runtime on this machine's processors, called through its C API. The first engine of a process finds the
 * library, and fetches it once where it is not there yet.
 * @throws {LingolensError} `engine-unavailable` where the library cannot be found, fetched or loaded
 */
export async function createNativeEngine(options: LibraryOptions = {}): Promise<Engine> {
  const shared = await nativeRuntime(options);
  const { api, cpu } = shared;
  const open = new OpenPrograms();
  return {
    description: `ONNX Runtime ${api.version}, CPU`,
    compile: (program, compileOptions = {}) =>
      open.add(async () =>
        NativeExecutable.of(api, cpu, await createSession(shared, program, compileOptions)),
      ),
    close: () => open.close(),
  };
}

function threadsOf({ threads = availableParallelism() }: CompileOptions): number {
  if (Number.isInteger(threads) && threads >= 1) return threads;
  throw new LingolensError("config-invalid", `threads: expected a whole number from 1; got ${threads}.`);
}

function sessionConfig({ externalData }: EncodedProgram, { prepack = true }: CompileOptions) {
  return {
    // Threads wait actively for as long as it takes to hand over the next product of a run, and not between runs.
    // Decoding gains 15 to 20 % over threads that sleep at once; threads that wait for longer gain no more, and make
    // programs half as fast where another process or a second run wants a processor.
    "session.intra_op.spin_duration_us": "50",
    "session.force_spinning_stop": "1",
    ...(!prepack && { "session.disable_prepacking": "1" }),
    ...(externalData !== undefined && {
      "session.model_external_initializers_file_folder_path": folderOf(externalData),
    }),
  };
}

function folderOf(externalData: NonNullable<EncodedProgram["externalData"]>): string {
  if (typeof externalData === "string") return externalData;
  throw new LingolensError(
    "option-unsupported",
    "The native engine takes a program's external data from a folder; got its contents.",
  );
}
