import { type Dimension, type EncodeOptions, encodeProgram, input, type Program } from "../../graph/index.js";
import type { CompileOptions, EncodedProgram, Engine, HostTensor } from "../engine.js";
import { createSession, nativeRuntime, type Runtime } from "../native.js";
import { NativeExecutable } from "../native-executable.js";
import type { LibraryOptions } from "../onnxruntime-library.js";
import { OpenPrograms } from "../open-programs.js";
import { Turns } from "../turns.js";
import { type DeviceKind, type DeviceName, deviceKind, unavailable } from "./device-kind.js";
import { DeviceProgram } from "./device-program.js";
import type { DeviceTensor } from "./device-tensor.js";

/** An engine whose programs run on a GPU, and may leave what they compute there. */
export interface DeviceEngine extends Engine {
  /** A program that leaves its results on the device, to be read by others. */
  compileResident(program: Program, options?: EncodeOptions): Promise<DeviceProgram>;
  /** A copy on the device, to be released. */
  upload(tensor: HostTensor): Promise<DeviceTensor>;
  /** Copies a tensor's elements to the caller's memory. */
  download(tensor: DeviceTensor, into: HostTensor["data"]): Promise<void>;
  /** Gives back the memory of tensors that nothing reads any more. */
  release(tensors: Iterable<DeviceTensor>): Promise<void>;
}

/** One run at a time: the programs of a process share the device's queue, which is not made for several threads. */
const turns = new Turns(1);

/**
 * ONNX Runtime on a GPU, called through its C API.
 * @throws {LingolensError} `engine-unavailable` where there is no such device, or what runs programs on it is not installed
 */
export async function createDeviceEngine(
  name: DeviceName,
  options: LibraryOptions = {},
): Promise<DeviceEngine> {
  const runtime = await nativeRuntime(options);
  const engine = deviceEngine(runtime, deviceKind(runtime.api, name));
  try {
    // Whether it really computes, the first program shows.
    await engine.release([await engine.upload({ dtype: "float32", shape: [], data: new Float32Array(1) })]);
  } catch (cause) {
    await engine.close();
    throw unavailable(name, (cause as Error).message, cause);
  }
  return engine;
}

/** An engine on a kind of device. */
export function deviceEngine(
  runtime: Runtime,
  { append, memory: memoryName, title }: Pick<DeviceKind, "append" | "memory" | "title">,
): DeviceEngine {
  const { api, cpu } = runtime;
  const memory = api.createDeviceMemoryInfo(memoryName);
  const open = new OpenPrograms();
  const copies = new Map<string, Promise<DeviceProgram>>();

  const openSession = (program: EncodedProgram, options: CompileOptions) =>
    turns.take(() => createSession(runtime, program, options, {}, append));

  const compileResident = (program: Program, options: EncodeOptions = {}) =>
    open.add(async () => {
      const session = await openSession(encodeProgram(program, options), {});
      return new DeviceProgram(program, { runtime, session, memory, turns });
    });

  /** Copies a tensor like this one, from or to the device. */
  function copier({ dtype, shape }: Pick<HostTensor, "dtype" | "shape">): Promise<DeviceProgram> {
    const key = `${dtype} ${shape.length}`;
    let program = copies.get(key);
    if (!program) {
      const dimensions = shape.map((_, axis): Dimension => `d${axis}`);
      program = compileResident({ outputs: { copy: input("tensor", dtype, dimensions) } });
      copies.set(key, program);
    }
    return program;
  }

  return {
    description: `ONNX Runtime ${api.version}, ${title}`,
    compile: (program, options = {}) =>
      open.add(async () => NativeExecutable.of(api, cpu, await openSession(program, options), turns)),
    compileResident,
    async upload(tensor) {
      const { copy } = await (await copier(tensor)).run({ tensor });
      return copy!;
    },
    async download(tensor, into) {
      await (await copier(tensor)).run({ tensor }, { copy: { ...tensor, data: into } });
    },
    release: (tensors) =>
      turns.take(async () => {
        for (const { value } of tensors) api.releaseTensor(value);
      }),
    close: () => open.close(),
  };
}
