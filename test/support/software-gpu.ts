import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { chromiumPath } from "./browser.js";

const DRIVER = "vk_swiftshader_icd.json";

/** Where Chromium keeps SwiftShader, which computes as a GPU would, on the processors, and a loader of Vulkan's drivers. */
const folder = [dirname(chromiumPath), "/usr/lib/chromium", "/usr/lib/chromium-browser"].find(
  (candidate) => existsSync(join(candidate, DRIVER)) && existsSync(join(candidate, "libvulkan.so.1")),
);

/** Environment of a process that shall find that GPU and no other; undefined where there is none. */
export const softwareGpu: Readonly<Record<string, string>> | undefined =
  folder === undefined ? undefined : { VK_DRIVER_FILES: join(folder, DRIVER), LD_LIBRARY_PATH: folder };

/** Environment of a process that finds no GPU, whatever the machine has; undefined where GPUs cannot be hidden so. */
export const noGpu: Readonly<Record<string, string>> | undefined =
  process.platform === "linux" ? { VK_DRIVER_FILES: "none.json", CUDA_VISIBLE_DEVICES: "" } : undefined;
