import koffi from "koffi";
import { LingolensError } from "../errors.js";
import type { Pointer } from "../native-library.js";
import { type NativeLibrary, openNativeLibrary } from "../native-library.js";
import { Turns } from "./turns.js";

/** The version of the table that is asked for: ONNX Runtime 1.22's. Every later library answers it too. */
const API_VERSION = 22;

const STATUS = "void*";

/**
 * The functions that are used: place in `struct OrtApi` (onnxruntime_c_api.h), result, parameters. The struct only
 * ever grows at its end; onnxruntime_c_api.cc asserts at compile time that, for example, `ReleaseCustomOpDomain`
 * stands at 101 and `ReleaseAvailableProviders` at 126.
 */
const FUNCTIONS = {
  GetErrorMessage: [2, "str", ["void*"]],
  CreateEnv: [3, STATUS, ["int", "str", "void*"]],
  DisableTelemetryEvents: [6, STATUS, ["void*"]],
  CreateSessionFromArray: [8, STATUS, ["void*", "void*", "size_t", "void*", "void*"]],
  Run: [9, STATUS, ["void*", "void*", "void*", "void*", "size_t", "void*", "size_t", "void*"]],
  CreateSessionOptions: [10, STATUS, ["void*"]],
  SetIntraOpNumThreads: [24, STATUS, ["void*", "int"]],
  SessionGetInputCount: [30, STATUS, ["void*", "void*"]],
  SessionGetOutputCount: [31, STATUS, ["void*", "void*"]],
  SessionGetInputTypeInfo: [33, STATUS, ["void*", "size_t", "void*"]],
  SessionGetOutputTypeInfo: [34, STATUS, ["void*", "size_t", "void*"]],
  SessionGetInputName: [36, STATUS, ["void*", "size_t", "void*", "void*"]],
  SessionGetOutputName: [37, STATUS, ["void*", "size_t", "void*", "void*"]],
  CreateTensorWithDataAsOrtValue: [
    49,
    STATUS,
    ["void*", "void*", "size_t", "void*", "size_t", "int", "void*"],
  ],
  CastTypeInfoToTensorInfo: [55, STATUS, ["void*", "void*"]],
  GetTensorElementType: [60, STATUS, ["void*", "void*"]],
  GetDimensionsCount: [61, STATUS, ["void*", "void*"]],
  GetDimensions: [62, STATUS, ["void*", "void*", "size_t"]],
  GetSymbolicDimensions: [63, STATUS, ["void*", "void*", "size_t"]],
  CreateMemoryInfo: [68, STATUS, ["str", "int", "int", "int", "void*"]],
  CreateCpuMemoryInfo: [69, STATUS, ["int", "int", "void*"]],
  AllocatorFree: [76, STATUS, ["void*", "void*"]],
  GetAllocatorWithDefaultOptions: [78, STATUS, ["void*"]],
  ReleaseStatus: [93, "void", ["void*"]],
  ReleaseSession: [95, "void", ["void*"]],
  ReleaseValue: [96, "void", ["void*"]],
  ReleaseTypeInfo: [98, "void", ["void*"]],
  ReleaseSessionOptions: [100, "void", ["void*"]],
  GetAvailableProviders: [125, STATUS, ["void*", "void*"]],
  ReleaseAvailableProviders: [126, STATUS, ["void*", "int"]],
  AddSessionConfigEntry: [130, STATUS, ["void*", "str", "str"]],
  RunWithBinding: [133, STATUS, ["void*", "void*", "void*"]],
  CreateIoBinding: [134, STATUS, ["void*", "void*"]],
  ReleaseIoBinding: [135, "void", ["void*"]],
  BindInput: [136, STATUS, ["void*", "str", "void*"]],
  BindOutput: [137, STATUS, ["void*", "str", "void*"]],
  BindOutputToDevice: [138, STATUS, ["void*", "str", "void*"]],
  GetBoundOutputValues: [140, STATUS, ["void*", "void*", "void*", "void*"]],
  CreateAndRegisterAllocator: [144, STATUS, ["void*", "void*", "void*"]],
  SessionOptionsAppendExecutionProvider_CUDA_V2: [204, STATUS, ["void*", "void*"]],
  CreateCUDAProviderOptions: [205, STATUS, ["void*"]],
  ReleaseCUDAProviderOptions: [208, "void", ["void*"]],
  SessionOptionsAppendExecutionProvider: [216, STATUS, ["void*", "str", "str*", "str*", "size_t"]],
} as const satisfies Record<string, readonly [number, string, readonly string[]]>;

/** A C function that koffi calls, at once or (`async`) on a thread of libuv's pool. */
type CFunction = ReturnType<NativeLibrary["func"]>;
type Functions = Readonly<Record<keyof typeof FUNCTIONS, CFunction>>;

/** OrtLoggingLevel FATAL: what fails is thrown, and need not be on stderr as well. */
const LOG_FATAL = 4;
/** OrtAllocatorType and OrtMemType of memory that the caller holds. */
const DEVICE_ALLOCATOR = 0;
const ARENA_ALLOCATOR = 1;
const DEFAULT_MEMORY = 0;

/** An input or output as the model declares it. A dimension is -1 and its name in `names`, or a size and "". */
export interface ValueInfo {
  readonly name: string;
  /** TensorProto.DataType. */
  readonly elementType: number;
  readonly dimensions: readonly number[];
  readonly dimensionNames: readonly string[];
}

/** Names as the library reads them, made once for all calls: to turn dozens of strings takes as long as a small product. */
export class NameList {
  readonly pointers: BigUint64Array;
  readonly #text: Uint8Array;

  constructor(names: readonly string[]) {
    const texts = names.map((name) => Buffer.from(`${name}\0`));
    // Shared memory stays where it is.
    this.#text = new Uint8Array(new SharedArrayBuffer(texts.reduce((sum, { length }) => sum + length, 1)));
    this.pointers = new BigUint64Array(names.length);
    const address = koffi.address(this.#text);
    let place = 0;
    texts.forEach((text, i) => {
      this.#text.set(text, place);
      this.pointers[i] = address + BigInt(place);
      place += text.length;
    });
  }
}

/**
 * ONNX Runtime's C API. A status other than success is released and thrown as a `LingolensError`: `out-of-memory`
 * when memory could not be had, else `engine-failed`, with ONNX Runtime's own message.
 */
export class OnnxRuntimeApi {
  private constructor(
    /** Of the library, such as "1.30.0". */
    readonly version: string,
    /** Never called, but kept. */
    readonly library: NativeLibrary,
    private readonly functions: Functions,
    private readonly turns: Turns,
    /** The address of `Run`, for a thread that makes calls of its own. */
    readonly runAddress: Pointer,
  ) {}

  /** @throws {LingolensError} `engine-unavailable` for a file that is not ONNX Runtime 1.22 or newer */
  static load(path: string): OnnxRuntimeApi {
    // It would keep an identifier of this device and report to its makers. The library reads this when it starts.
    process.env.ORT_DISABLE_TELEMETRY = "1";
    let library: NativeLibrary;
    let base: Pointer;
    try {
      library = openNativeLibrary(path);
      base = library.func("void* OrtGetApiBase()")();
    } catch (cause) {
      const { message } = cause as Error;
      throw new LingolensError(
        "engine-unavailable",
        `ONNX Runtime cannot be loaded from ${path}: ${message}`,
        { cause },
      );
    }
    const [getApi, getVersion] = koffi.decode(base, "void*", 2) as [Pointer, Pointer];
    const version: string = koffi.decode(getVersion, koffi.proto("str", []))();
    // Asked for a newer table than it has, the library would also print a line of its own.
    const minor = Number(version.split(".")[1]);
    const table =
      minor >= API_VERSION && koffi.decode(getApi, koffi.proto("void*", ["uint32_t"]))(API_VERSION);
    if (!table)
      throw new LingolensError(
        "engine-unavailable",
        `${path} is ONNX Runtime ${version}; expected 1.${API_VERSION} or newer.`,
      );

    const places = Object.values(FUNCTIONS).map(([place]) => place);
    const pointers = koffi.decode(table, "void*", Math.max(...places) + 1) as Pointer[];
    const functions = Object.fromEntries(
      Object.entries(FUNCTIONS).map(([name, [place, result, parameters]]) => [
        name,
        koffi.decode(pointers[place], koffi.proto(result, [...parameters])),
      ]),
    ) as Functions;
    return new OnnxRuntimeApi(
      version,
      library,
      functions,
      new Turns(callsAtOnce()),
      pointers[FUNCTIONS.Run[0]]!,
    );
  }

  /** The environment of this process; the library itself keeps no more than one. */
  createEnv(): Pointer {
    const env = this.#make("CreateEnv", LOG_FATAL, "lingolens");
    // Builds for Windows report their use to Microsoft unless told not to.
    this.#call("DisableTelemetryEvents", env);
    return env;
  }

  createCpuMemoryInfo(): Pointer {
    return this.#make("CreateCpuMemoryInfo", DEVICE_ALLOCATOR, DEFAULT_MEMORY);
  }

  /** @param name of a device's memory, such as "Cuda" */
  createDeviceMemoryInfo(name: string): Pointer {
    const firstDevice = 0;
    return this.#make("CreateMemoryInfo", name, DEVICE_ALLOCATOR, firstDevice, DEFAULT_MEMORY);
  }

  /** Names of the execution providers that the library was built with, such as "WebGpuExecutionProvider". */
  availableProviders(): string[] {
    const names = new BigUint64Array(1);
    const count = new Int32Array(1);
    this.#call("GetAvailableProviders", names, count);
    const providers = koffi.decode(names[0]!, "str", count[0]!) as string[];
    this.#call("ReleaseAvailableProviders", names[0]!, count[0]!);
    return providers;
  }

  /** Lets a session run on the GPU what WebGPU's provider can. */
  appendWebGpu(options: Pointer): void {
    this.#call("SessionOptionsAppendExecutionProvider", options, "WebGPU", [], [], 0);
  }

  /** Lets a session run on the first NVIDIA GPU what CUDA's provider can. */
  appendCuda(options: Pointer): void {
    const settings = this.#make("CreateCUDAProviderOptions");
    try {
      this.#call("SessionOptionsAppendExecutionProvider_CUDA_V2", options, settings);
    } finally {
      this.functions.ReleaseCUDAProviderOptions(settings);
    }
  }

  /**
   * Memory to work in for all sessions of an environment that are created with `session.use_env_allocators`; others have
   * some of their own each.
   */
  registerArena(env: Pointer): void {
    const arena = this.#make("CreateCpuMemoryInfo", ARENA_ALLOCATOR, DEFAULT_MEMORY);
    const defaultSettings = null;
    this.#call("CreateAndRegisterAllocator", env, arena, defaultSettings);
  }

  /** @param config session options by the names of onnxruntime_session_options_config_keys.h */
  createSessionOptions(threads: number, config: Readonly<Record<string, string>>): Pointer {
    const options = this.#make("CreateSessionOptions");
    try {
      this.#call("SetIntraOpNumThreads", options, threads);
      for (const [key, value] of Object.entries(config))
        this.#call("AddSessionConfigEntry", options, key, value);
      return options;
    } catch (error) {
      this.releaseSessionOptions(options);
      throw error;
    }
  }

  /** Off the calling thread. The library copies what it needs of `model`, an ONNX ModelProto. */
  async createSession(env: Pointer, model: Uint8Array, options: Pointer): Promise<Pointer> {
    const session = new BigUint64Array(1);
    await this.#callLater("CreateSessionFromArray", [env, model, model.byteLength, options, session]);
    return session[0]!;
  }

  sessionInputs(session: Pointer): ValueInfo[] {
    return this.#valueInfos(session, "Input");
  }

  sessionOutputs(session: Pointer): ValueInfo[] {
    return this.#valueInfos(session, "Output");
  }

  /** A tensor over the caller's memory, which must be kept until the tensor has been released. */
  createTensor(
    memory: Pointer,
    data: ArrayBufferView,
    shape: readonly number[],
    elementType: number,
  ): Pointer {
    const dimensions = BigInt64Array.from(shape, BigInt);
    return this.#make(
      "CreateTensorWithDataAsOrtValue",
      memory,
      data,
      data.byteLength,
      dimensions,
      shape.length,
      elementType,
    );
  }

  /** Off the calling thread. The outputs' tensors are written in place. */
  async run(
    session: Pointer,
    inputNames: NameList,
    inputs: BigUint64Array,
    outputNames: NameList,
    outputs: BigUint64Array,
  ): Promise<void> {
    const defaultOptions = null;
    await this.#callLater("Run", [
      session,
      defaultOptions,
      inputNames.pointers,
      inputs,
      inputs.length,
      outputNames.pointers,
      outputs.length,
      outputs,
    ]);
  }

  /** What a run reads and writes, by name. */
  createBinding(session: Pointer): Pointer {
    return this.#make("CreateIoBinding", session);
  }

  /** Has an input read from a tensor that is where the session runs. */
  bindInput(binding: Pointer, name: string, tensor: Pointer): void {
    this.#call("BindInput", binding, name, tensor);
  }

  /** Off the calling thread, for a tensor in the caller's memory, which is copied to the device at once. */
  async bindCopiedInput(binding: Pointer, name: string, tensor: Pointer): Promise<void> {
    await this.#callLater("BindInput", [binding, name, tensor]);
  }

  /** Has an output written to a tensor. */
  bindOutput(binding: Pointer, name: string, tensor: Pointer): void {
    this.#call("BindOutput", binding, name, tensor);
  }

  /** Has an output written to new memory of a device. */
  bindNewOutput(binding: Pointer, name: string, memory: Pointer): void {
    this.#call("BindOutputToDevice", binding, name, memory);
  }

  /** The outputs' tensors after a run, in the order in which they were bound, each to be released. */
  boundOutputs(binding: Pointer): Pointer[] {
    const allocator = this.#make("GetAllocatorWithDefaultOptions");
    const values = new BigUint64Array(1);
    const count = new BigUint64Array(1);
    this.#call("GetBoundOutputValues", binding, allocator, values, count);
    if (count[0] === 0n) return [];
    const tensors = koffi.decode(values[0]!, "void*", Number(count[0])) as Pointer[];
    this.#call("AllocatorFree", allocator, values[0]!);
    return tensors;
  }

  /** Off the calling thread. */
  async runBinding(session: Pointer, binding: Pointer): Promise<void> {
    const defaultOptions = null;
    await this.#callLater("RunWithBinding", [session, defaultOptions, binding]);
  }

  releaseBinding(binding: Pointer): void {
    this.functions.ReleaseIoBinding(binding);
  }

  releaseSessionOptions(options: Pointer): void {
    this.functions.ReleaseSessionOptions(options);
  }

  releaseSession(session: Pointer): void {
    this.functions.ReleaseSession(session);
  }

  releaseTensor(tensor: Pointer): void {
    this.functions.ReleaseValue(tensor);
  }

  #valueInfos(session: Pointer, side: "Input" | "Output"): ValueInfo[] {
    const allocator = this.#make("GetAllocatorWithDefaultOptions");
    const count = Number(this.#make(`SessionGet${side}Count`, session));
    return Array.from({ length: count }, (_, index) => {
      const nameAddress = this.#make(`SessionGet${side}Name`, session, index, allocator);
      const name = koffi.decode.string(nameAddress);
      this.#call("AllocatorFree", allocator, nameAddress);
      const type = this.#make(`SessionGet${side}TypeInfo`, session, index);
      try {
        return { name, ...this.#tensorInfo(this.#make("CastTypeInfoToTensorInfo", type)) };
      } finally {
        this.functions.ReleaseTypeInfo(type);
      }
    });
  }

  #tensorInfo(info: Pointer): Omit<ValueInfo, "name"> {
    const elementType = Number(this.#make("GetTensorElementType", info));
    const rank = Number(this.#make("GetDimensionsCount", info));
    const dimensions = new BigInt64Array(rank);
    const names = new BigUint64Array(rank);
    this.#call("GetDimensions", info, dimensions, rank);
    this.#call("GetSymbolicDimensions", info, names, rank);
    return {
      elementType,
      dimensions: Array.from(dimensions, Number),
      dimensionNames: Array.from(names, (name) => koffi.decode.string(name)),
    };
  }

  #call(name: keyof Functions, ...args: unknown[]): void {
    this.check(this.functions[name](...args));
  }

  /** Calls a function whose last parameter takes what it makes. */
  #make(name: keyof Functions, ...args: unknown[]): Pointer {
    const made = new BigUint64Array(1);
    this.#call(name, ...args, made);
    return made[0]!;
  }

  async #callLater(name: keyof Functions, args: readonly unknown[]): Promise<void> {
    const status = await this.turns.take(
      () =>
        new Promise<Pointer | null>((resolve, reject) => {
          this.functions[name].async(...args, (error: Error | null, result: Pointer | null) => {
            // koffi holds only the addresses of typed arrays: this use keeps them from being collected meanwhile.
            void args;
            if (error) reject(error);
            else resolve(result);
          });
        }),
    );
    this.check(status);
  }

  /** Throws what a status says, if it is not success. */
  check(status: Pointer | null): void {
    if (!status) return;
    const message: string = this.functions.GetErrorMessage(status);
    this.functions.ReleaseStatus(status);
    // The C API has no code of its own for it.
    const outOfMemory = /bad_alloc|fail\w* to allocate|out of memory|not enough memory/i.test(message);
    throw new LingolensError(outOfMemory ? "out-of-memory" : "engine-failed", `ONNX Runtime: ${message}`);
  }
}

/** Asynchronous calls hold threads of libuv's pool; one thread is left to the files, pictures and addresses of others. */
function callsAtOnce(): number {
  const defaultPoolSize = 4;
  return Math.max(1, (Number(process.env.UV_THREADPOOL_SIZE) || defaultPoolSize) - 1);
}
