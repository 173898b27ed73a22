import { onnxRuntimeLibrary } from "../../src/engine/onnxruntime-library.js";

/** Fetches ONNX Runtime's library before the tests, once: a test that waited for it would run out of time. */
export default async function setup(): Promise<void> {
  try {
    await onnxRuntimeLibrary();
  } catch (error) {
    // Tests that run no model pass without it. Those that do fail, each with this message.
    process.stderr.write(`${(error as Error).message}\n`);
  }
}
