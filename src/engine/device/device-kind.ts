import { LingolensError } from "../../errors.js";
import type { Pointer } from "../../native-library.js";
import type { OnnxRuntimeApi } from "../onnxruntime-api.js";

export type DeviceName = "webgpu" | "cuda";
/** Where to compute: on the processors, or elsewhere. */
export type Device = "cpu" | DeviceName;

export interface DeviceKind {
  /** For messages. */
  readonly title: string;
  /** ONNX Runtime's name of what runs programs there, */
  readonly provider: string;
  /** and of the memory there. */
  readonly memory: string;
  /** Has a session run there what can be. */
  readonly append: (options: Pointer) => void;
}

/** What is asked of ONNX Runtime about devices. */
export type ProviderApi = Pick<
  OnnxRuntimeApi,
  | "version"
  | "availableProviders"
  | "createSessionOptions"
  | "releaseSessionOptions"
  | "appendWebGpu"
  | "appendCuda"
>;

/** What to do where there is no such device. */
const NEEDS: Readonly<Record<DeviceName, string>> = {
  webgpu:
    "It takes a GPU and its driver, on Linux one for Vulkan with the loader libvulkan.so.1 (Debian's libvulkan1 and " +
    "mesa-vulkan-drivers, or the maker's driver).",
  cuda:
    "It takes an NVIDIA GPU with its driver, CUDA and cuDNN, and beside ONNX Runtime's library " +
    "libonnxruntime_providers_cuda and libonnxruntime_providers_shared of the same release; LINGOLENS_ONNXRUNTIME " +
    "names that library.",
};

/**
 * How a device is reached.
 * @throws {LingolensError} `engine-unavailable` where this machine or this library has none
 */
export function deviceKind(api: ProviderApi, name: DeviceName): DeviceKind {
  const kind: DeviceKind =
    name === "webgpu"
      ? {
          title: "WebGPU",
          provider: "WebGpuExecutionProvider",
          memory: "WebGPU_Buffer",
          append: (options) => api.appendWebGpu(options),
        }
      : {
          title: "CUDA",
          provider: "CUDAExecutionProvider",
          memory: "Cuda",
          append: (options) => api.appendCuda(options),
        };
  const providers = api.availableProviders();
  if (!providers.includes(kind.provider))
    throw unavailable(name, `this build of ONNX Runtime ${api.version} has only ${providers.join(", ")}`);
  // The provider says here whether it can be loaded and whether it finds a device.
  const trial = api.createSessionOptions(1, {});
  try {
    kind.append(trial);
  } catch (cause) {
    // The library's message begins with where in its source it comes from.
    throw unavailable(name, (cause as Error).message.replace(/^.* was false\. /s, "").trim(), cause);
  } finally {
    api.releaseSessionOptions(trial);
  }
  return kind;
}

/** Says why a device cannot be used, and what it takes. */
export function unavailable(name: DeviceName, why: string, cause?: unknown): LingolensError {
  return new LingolensError(
    "engine-unavailable",
    `The device ${name} cannot be used: ${why}. ${NEEDS[name]} Leave --device out to use the CPU.`,
    { cause },
  );
}
