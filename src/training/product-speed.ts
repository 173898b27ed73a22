import { compileProgram } from "../engine/compile.js";
import type { CompileOptions, Engine } from "../engine/engine.js";
import { gemm, input } from "../graph/index.js";
import type { CaptionerConfig } from "../model/config.js";

/** How long products are timed, in milliseconds. */
const TIMED = 400;

/**
 * Multiplications and additions a second of the engine's matrix product by itself, on the decoder's widest layer: what a
 * step could do at best. The fastest of many, as others use the processors too.
 * @param rows of the product, such as the tokens of a batch
 */
export async function measureProductSpeed(
  engine: Engine,
  { decoder: { hiddenSize, ffnDim } }: Pick<CaptionerConfig, "decoder">,
  rows: number,
  options: Pick<CompileOptions, "threads" | "dtype">,
): Promise<number> {
  const x = input("x", "float32", [rows, hiddenSize]);
  const w = input("w", "float32", [ffnDim, hiddenSize]);
  const product = gemm(x, w, undefined, { transposeB: true });
  const program = await compileProgram(engine, { outputs: { product } }, options);
  const filled = (shape: readonly [number, number]) => ({
    dtype: "float32" as const,
    shape,
    data: new Float32Array(shape[0] * shape[1]).fill(0.5),
  });
  const feeds = { x: filled([rows, hiddenSize]), w: filled([ffnDim, hiddenSize]) };
  const into = { product: new Float32Array(rows * ffnDim) };
  try {
    return await fastestProduct(2 * rows * hiddenSize * ffnDim, () => program.run(feeds, into));
  } finally {
    await program.close();
  }
}

/** Operations a second of the fastest of many runs. */
export async function fastestProduct(operations: number, run: () => Promise<unknown>): Promise<number> {
  await run(); // The first run makes what others keep.
  let fastest = Number.POSITIVE_INFINITY;
  for (const since = performance.now(); performance.now() - since < TIMED; ) {
    const start = performance.now();
    await run();
    fastest = Math.min(fastest, performance.now() - start);
  }
  return operations / (fastest / 1000);
}
