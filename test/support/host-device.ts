import { type DeviceEngine, deviceEngine } from "../../src/engine/device/device-engine.js";
import { nativeRuntime } from "../../src/engine/native.js";

/** The engine of a GPU, with the processors in its place: what it keeps is kept as on a GPU, on any machine. */
export async function hostDevice(): Promise<DeviceEngine> {
  return deviceEngine(await nativeRuntime(), { title: "CPU", memory: "Cpu", append: () => {} });
}
