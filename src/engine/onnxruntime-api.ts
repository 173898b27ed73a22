import koffi from "koffi";
import { type ErrorCode, LingolensError } from "../errors.js";

/**
 * ONNX Runtime's C API, called through its table of function pointers. The order of the table is public and only
 * ever grows at its end (`struct OrtApi` in onnxruntime_c_api.h), so a place found once stays right.
 */
const TABLE = `
  CreateStatus GetErrorCode GetErrorMessage CreateEnv CreateEnvWithCustomLogger EnableTelemetryEvents
  DisableTelemetryEvents CreateSession CreateSessionFromArray Run CreateSessionOptions SetOptimizedModelFilePath
  CloneSessionOptions SetSessionExecutionMode EnableProfiling DisableProfiling EnableMemPattern DisableMemPattern
  EnableCpuMemArena DisableCpuMemArena SetSessionLogId SetSessionLogVerbosityLevel SetSessionLogSeverityLevel
  SetSessionGraphOptimizationLevel SetIntraOpNumThreads SetInterOpNumThreads CreateCustomOpDomain CustomOpDomain_Add
  AddCustomOpDomain RegisterCustomOpsLibrary SessionGetInputCount SessionGetOutputCount
  SessionGetOverridableInitializerCount SessionGetInputTypeInfo SessionGetOutputTypeInfo
  SessionGetOverridableInitializerTypeInfo SessionGetInputName SessionGetOutputName
  SessionGetOverridableInitializerName CreateRunOptions RunOptionsSetRunLogVerbosityLevel
  RunOptionsSetRunLogSeverityLevel RunOptionsSetRunTag RunOptionsGetRunLogVerbosityLevel
  RunOptionsGetRunLogSeverityLevel RunOptionsGetRunTag RunOptionsSetTerminate RunOptionsUnsetTerminate
  CreateTensorAsOrtValue CreateTensorWithDataAsOrtValue IsTensor GetTensorMutableData FillStringTensor
  GetStringTensorDataLength GetStringTensorContent CastTypeInfoToTensorInfo GetOnnxTypeFromTypeInfo
  CreateTensorTypeAndShapeInfo SetTensorElementType SetDimensions GetTensorElementType GetDimensionsCount
  GetDimensions GetSymbolicDimensions GetTensorShapeElementCount GetTensorTypeAndShape GetTypeInfo GetValueType
  CreateMemoryInfo CreateCpuMemoryInfo CompareMemoryInfo MemoryInfoGetName MemoryInfoGetId MemoryInfoGetMemType
  MemoryInfoGetType AllocatorAlloc AllocatorFree AllocatorGetInfo GetAllocatorWithDefaultOptions
  AddFreeDimensionOverride GetValue GetValueCount CreateValue CreateOpaqueValue GetOpaqueValue
  KernelInfoGetAttribute_float KernelInfoGetAttribute_int64 KernelInfoGetAttribute_string
  KernelContext_GetInputCount KernelContext_GetOutputCount KernelContext_GetInput KernelContext_GetOutput
  ReleaseEnv ReleaseStatus ReleaseMemoryInfo ReleaseSession ReleaseValue ReleaseRunOptions ReleaseTypeInfo
  ReleaseTensorTypeAndShapeInfo ReleaseSessionOptions ReleaseCustomOpDomain GetDenotationFromTypeInfo
  CastTypeInfoToMapTypeInfo CastTypeInfoToSequenceTypeInfo GetMapKeyType GetMapValueType GetSequenceElementType
  ReleaseMapTypeInfo ReleaseSequenceTypeInfo SessionEndProfiling SessionGetModelMetadata
  ModelMetadataGetProducerName ModelMetadataGetGraphName ModelMetadataGetDomain ModelMetadataGetDescription
  ModelMetadataLookupCustomMetadataMap ModelMetadataGetVersion ReleaseModelMetadata CreateEnvWithGlobalThreadPools
  DisablePerSessionThreads CreateThreadingOptions ReleaseThreadingOptions ModelMetadataGetCustomMetadataMapKeys
  AddFreeDimensionOverrideByName GetAvailableProviders ReleaseAvailableProviders GetStringTensorElementLength
  GetStringTensorElement FillStringTensorElement AddSessionConfigEntry`.trim().split(/\s+/);

/** The version of the API that is asked for; every later library answers it. */
const API_VERSION = 22;

/** A C function that koffi calls, at once or (`async`) on a thread of its pool. */
type CFunction = ReturnType<ReturnType<typeof koffi.load>["func"]>;

/** A pointer to something that the library owns until it is released. */
export type Pointer = unknown;

/** The functions that the engine uses. A status other than success is thrown as a `LingolensError`. */
export interface OnnxRuntimeApi {
  readonly version: string;
  createEnv(): Pointer;
  createSessionOptions(): Pointer;
  setThreads(options: Pointer, threads: number): void;
  addConfig(options: Pointer, key: string, value: string): void;
  /** Off the calling thread. */
  createSession(env: Pointer, model: Uint8Array, options: Pointer): Promise<Pointer>;
  createCpuMemoryInfo(): Pointer;
  /** A tensor over the caller's memory, which must outlive it. */
  createTensor(memory: Pointer, data: ArrayBufferView, shape: readonly number[], elementType: number): Pointer;
  /** Off the calling thread. */
  run(
    session: Pointer,
    inputNames: readonly string[],
    inputs: readonly Pointer[],
    outputNames: readonly string[],
    outputs: readonly Pointer[],
  ): Promise<void>;
  releaseSessionOptions(options: Pointer): void;
  releaseSession(session: Pointer): void;
  releaseTensor(tensor: Pointer): void;
}

/** koffi wants every prototype defined once a process. */
const PROTOTYPES = {
  getApi: koffi.proto("void* OrtGetApi(uint32_t version)"),
  getVersion: koffi.proto("str OrtGetVersion()"),
  message: koffi.proto("str OrtGetErrorMessage(void* status)"),
  release: koffi.proto("void OrtRelease(void* object)"),
  createEnv: koffi.proto("void* OrtCreateEnv(int level, str name, _Out_ void** env)"),
  createOptions: koffi.proto("void* OrtCreateOptions(_Out_ void** options)"),
  setInt: koffi.proto("void* OrtSetInt(void* options, int value)"),
  addConfig: koffi.proto("void* OrtAddConfig(void* options, str key, str value)"),
  createSession: koffi.proto(
    "void* OrtCreateSession(void* env, void* model, size_t size, void* options, _Out_ void** session)",
  ),
  createMemoryInfo: koffi.proto("void* OrtCreateMemoryInfo(int allocator, int type, _Out_ void** memory)"),
  createTensor: koffi.proto(
    "void* OrtCreateTensor(void* memory, void* data, size_t bytes, int64_t* shape, size_t rank, int type, _Out_ void** tensor)",
  ),
  run: koffi.proto(
    "void* OrtRun(void* session, void* options, str* inputNames, void** inputs, size_t inputCount, str* outputNames, size_t outputCount, void** outputs)",
  ),
} as const;

/** Loads the library and finds its functions. */
export function loadOnnxRuntime(path: string): OnnxRuntimeApi {
  const base = openLibrary(path);
  const [getApi, getVersion] = koffi.decode(base, koffi.array("void*", 2)) as [Pointer, Pointer];
  const version = koffi.call(getVersion, PROTOTYPES.getVersion) as string;
  const api = koffi.call(getApi, PROTOTYPES.getApi, API_VERSION);
  if (!api) {
    throw new LingolensError(
      "engine-unavailable",
      `${path} is ONNX Runtime ${version}; expected 1.${API_VERSION} or newer.`,
    );
  }
  const pointers = koffi.decode(api, koffi.array("void*", TABLE.length)) as Pointer[];
  const bind = (name: string, prototype: keyof typeof PROTOTYPES) => {
    const pointer = pointers[TABLE.indexOf(name)];
    return koffi.decode(pointer, PROTOTYPES[prototype]) as CFunction;
  };

  const message = bind("GetErrorMessage", "message");
  const releaseStatus = bind("ReleaseStatus", "release");
  const check = (status: Pointer): void => {
    if (!status) return;
    const text = message(status) as string;
    releaseStatus(status);
    throw runtimeError(text);
  };
  const make = (call: CFunction, ...args: unknown[]): Pointer => {
    const out: Pointer[] = [null];
    check(call(...args, out));
    return out[0];
  };
  const later = (call: CFunction, ...args: unknown[]): Promise<void> =>
    new Promise<void>((resolve, reject) => {
      call.async(...args, (error: Error | null, status: Pointer) => {
        try {
          if (error) throw error;
          check(status);
          resolve();
        } catch (failure) {
          reject(failure);
        }
      });
    });

  const createEnv = bind("CreateEnv", "createEnv");
  const createOptions = bind("CreateSessionOptions", "createOptions");
  const setIntraThreads = bind("SetIntraOpNumThreads", "setInt");
  const addConfig = bind("AddSessionConfigEntry", "addConfig");
  const createSession = bind("CreateSessionFromArray", "createSession");
  const createMemoryInfo = bind("CreateCpuMemoryInfo", "createMemoryInfo");
  const createTensor = bind("CreateTensorWithDataAsOrtValue", "createTensor");
  const run = bind("Run", "run");

  return {
    version,
    createEnv: () => make(createEnv, LOG_ERRORS, "lingolens"),
    createSessionOptions: () => make(createOptions),
    setThreads: (options, threads) => check(setIntraThreads(options, threads)),
    addConfig: (options, key, value) => check(addConfig(options, key, value)),
    async createSession(env, model, options) {
      const out: Pointer[] = [null];
      await later(createSession, env, model, model.byteLength, options, out);
      return out[0];
    },
    createCpuMemoryInfo: () => make(createMemoryInfo, ARENA_ALLOCATOR, DEFAULT_MEMORY),
    createTensor: (memory, data, shape, elementType) =>
      make(createTensor, memory, data, data.byteLength, BigInt64Array.from(shape, BigInt), shape.length, elementType),
    run: (session, inputNames, inputs, outputNames, outputs) =>
      later(run, session, null, inputNames, inputs, inputs.length, outputNames, outputs.length, outputs),
    releaseSessionOptions: bind("ReleaseSessionOptions", "release"),
    releaseSession: bind("ReleaseSession", "release"),
    releaseTensor: bind("ReleaseValue", "release"),
  };
}

/** OrtLoggingLevel, OrtAllocatorType, OrtMemType. */
const LOG_ERRORS = 3;
const ARENA_ALLOCATOR = 1;
const DEFAULT_MEMORY = 0;

function openLibrary(path: string): Pointer {
  try {
    return koffi.load(path).func("void* OrtGetApiBase()")();
  } catch (cause) {
    throw new LingolensError("engine-unavailable", `ONNX Runtime cannot be loaded from ${path}: ${(cause as Error).message}`, {
      cause,
    });
  }
}

function runtimeError(message: string): LingolensError {
  const code: ErrorCode = /alloc|out of memory/i.test(message) ? "out-of-memory" : "engine-failed";
  return new LingolensError(code, `ONNX Runtime: ${message}`);
}
