/**
 * Run by npm after lingolens is installed: fetches the library now, so that the first caption need not wait for it.
 * An installation never fails over it, as the first run tries again and says what to do.
 */
if (!process.env.LINGOLENS_ONNXRUNTIME) {
  try {
    const { onnxRuntimeLibrary } = await import("./onnxruntime-library.js");
    await onnxRuntimeLibrary({ onNotice: () => undefined });
  } catch (error) {
    const [reason] = (error as Error).message.split("\n");
    process.stderr.write(
      `lingolens: ONNX Runtime will be fetched at the first run, as it could not be now: ${reason}\n`,
    );
  }
}
