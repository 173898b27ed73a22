import { expect, it } from "vitest";
import { deviceKind, type ProviderApi } from "./device-kind.js";

/** An ONNX Runtime with these providers, of which WebGPU's says what it is made to. */
function runtime(providers: string[], fails?: string): ProviderApi {
  const append = () => {
    if (fails) throw new Error(fails);
  };
  return {
    version: "1.30.0",
    availableProviders: () => providers,
    createSessionOptions: () => 1n,
    releaseSessionOptions: () => {},
    appendWebGpu: append,
    appendCuda: append,
  };
}

it("is refused where the library was built without it, with what there is", () => {
  const cpu = runtime(["CPUExecutionProvider"]);
  for (const name of ["webgpu", "cuda"] as const)
    expect(() => deviceKind(cpu, name)).toThrow(
      expect.objectContaining({
        code: "engine-unavailable",
        message: expect.stringMatching(new RegExp(`device ${name} .* only CPUExecutionProvider\\.`)),
      }),
    );
});

it("is refused where it cannot be used, with the reason and what it takes", () => {
  const message =
    "ONNX Runtime: /src/webgpu_context.cc:136 onnxruntime::webgpu::Initialize()::<lambda()> " +
    "adapter_result.status == Success was false. Failed to get a WebGPU adapter: No supported adapters\n";
  const noAdapter = runtime(["WebGpuExecutionProvider"], message);
  expect(() => deviceKind(noAdapter, "webgpu")).toThrow(
    /^The device webgpu cannot be used: Failed to get a WebGPU adapter: No supported adapters\. It takes .*Vulkan/,
  );
  const noLibrary = runtime(["CUDAExecutionProvider"], "ONNX Runtime: Failed to load shared library");
  expect(() => deviceKind(noLibrary, "cuda")).toThrow(
    /^The device cuda cannot be used: ONNX Runtime: Failed to load shared library\. .*providers_cuda/,
  );
});
