import { LingolensError } from "../errors.js";

/** Path of ONNX Runtime's shared library. */
export async function onnxRuntimeLibrary(): Promise<string> {
  const path = process.env.LINGOLENS_ONNXRUNTIME;
  if (!path) throw new LingolensError("engine-unavailable", "LINGOLENS_ONNXRUNTIME is not set.");
  return path;
}
