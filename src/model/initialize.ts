import type { CaptionerConfig } from "./config.js";
import { normalNumbers } from "./random.js";

/**
 * Values to start training from: norms 1 and 0, biases 0, matrices normal with deviation 1/√inputs, and those that
 * write into the residual stream smaller by the root of the number of writes, so that the stream keeps its size
 * whatever the depth (as GPT-2, Radford et al. 2019). The embedding, which also is the head, starts at 1/√hidden.
 * Positions start as waves, from which "left of" and "above" are learnt much sooner than from noise (as "Better
 * plain ViT baselines for ImageNet-1k", Beyer et al. 2022).
 */
export function initializeParameters(
  config: CaptionerConfig,
  shapes: ReadonlyMap<string, readonly number[]>,
  seed: number,
): Map<string, Float32Array> {
  return new Map(
    [...initialPieces(config, shapes, seed)].map(([name, pieces]) => {
      const values = new Float32Array(count(shapes.get(name)!));
      let done = 0;
      for (const piece of pieces()) {
        values.set(piece, done);
        done += piece.length;
      }
      return [name, values] as const;
    }),
  );
}

/** Values made at once where a parameter is larger. */
const PIECE = 1 << 22;

/** The same values, each parameter's in pieces that are made as they are asked for, in any order of parameters. */
export function initialPieces(
  config: CaptionerConfig,
  shapes: ReadonlyMap<string, readonly number[]>,
  seed: number,
): Map<string, () => Iterable<Float32Array>> {
  // One sequence of numbers for all parameters; each knows where its own begin.
  let drawn = 0;
  const piecesOf = (name: string, shape: readonly number[]): (() => Iterable<Float32Array>) => {
    if (isPositions(name)) return () => [initialPositions(name, shape)];
    const size = count(shape);
    const deviation = initialDeviation(name, shape, config);
    if (deviation === 0) return () => [new Float32Array(size).fill(isNormWeight(name) ? 1 : 0)];
    const first = drawn;
    drawn += size;
    return () => normalPieces({ seed, first, size, deviation });
  };
  return new Map([...shapes].map(([name, shape]) => [name, piecesOf(name, shape)]));
}

function* normalPieces({
  seed,
  first,
  size,
  deviation,
}: {
  readonly seed: number;
  readonly first: number;
  readonly size: number;
  readonly deviation: number;
}): Generator<Float32Array> {
  const normal = normalNumbers(seed, first);
  for (let done = 0; done < size; done += PIECE) {
    const piece = new Float32Array(Math.min(PIECE, size - done));
    for (let i = 0; i < piece.length; i++) piece[i] = normal() * deviation;
    yield piece;
  }
}

function count(shape: readonly number[]): number {
  return shape.reduce((a, b) => a * b, 1);
}

const isNormWeight = (name: string): boolean => /(norm\d?|layrnorm|layernorm_embedding)\.weight$/.test(name);

function initialDeviation(
  name: string,
  shape: readonly number[],
  { vision, decoder }: CaptionerConfig,
): number {
  if (isNormWeight(name) || name.endsWith("bias")) return 0;
  if (name.endsWith("class_embedding")) return 0.02;
  if (name === "model.shared.weight") return decoder.hiddenSize ** -0.5;
  const inputs = shape.slice(1).reduce((a, b) => a * b, 1);
  const writesToStream = /(out_proj|fc2)\.weight$/.test(name);
  // A decoder layer writes to its stream three times, an encoder layer twice.
  const writes = name.startsWith("model.decoder") ? 3 * decoder.layers : 2 * vision.layers;
  return inputs ** -0.5 * (writesToStream ? writes ** -0.5 : 1);
}

/** The waves' height: about half of what a patch or a token brings along. */
const POSITION_AMPLITUDE = 0.7;
/** The longest wave over the shortest. Grids and captions are short, so this is far below Vaswani's 10,000. */
const POSITION_RANGE = 100;

const isPositions = (name: string): boolean => /(embed_positions|position_embedding)\.weight$/.test(name);

function initialPositions(name: string, shape: readonly number[]): Float32Array {
  const [rows, width] = shape as [number, number];
  if (name.endsWith("embed_positions.weight")) return waves(rows, width, (row) => [row]);
  // Row 0 is the class position; the patches follow row by row.
  const grid = Math.sqrt(rows - 1);
  const table = waves(rows, width, (row) => [Math.floor((row - 1) / grid), (row - 1) % grid]);
  return table.fill(0, 0, width);
}

/** For each coordinate of a row an equal part of the width, half sines and half cosines (Vaswani et al. 2017). */
function waves(rows: number, width: number, coordinates: (row: number) => readonly number[]): Float32Array {
  const table = new Float32Array(rows * width);
  for (let row = 0; row < rows; row++) {
    const place = coordinates(row);
    const part = Math.floor(width / place.length);
    const half = Math.floor(part / 2);
    place.forEach((coordinate, i) => {
      for (let j = 0; j < half; j++) {
        const angle = coordinate / POSITION_RANGE ** (j / half);
        const start = row * width + i * part + j;
        table[start] = POSITION_AMPLITUDE * Math.sin(angle);
        table[start + half] = POSITION_AMPLITUDE * Math.cos(angle);
      }
    });
  }
  return table;
}
