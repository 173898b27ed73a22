/** Kernels of Flax's layers in the order of axes that PyTorch has. */
import { allocate } from "./file-bytes.js";
import { elementsOf, type SafetensorsData } from "./safetensors.js";
import { damaged } from "./safetensors-header.js";
import { readStoredTensor, type StoredTensor } from "./stored-tensor.js";

/**
 * Dense kernels [in, out] as [out, in], convolutions' [height, width, in, out] as [out, in, height, width].
 * @throws {LingolensError} `checkpoint-damaged` for kernels of other ranks
 */
export function transposedKernel(kernel: StoredTensor, name: string): StoredTensor {
  const { file, dtype, shape } = kernel;
  const [inputs, outputs] = shape.slice(-2);
  if (inputs === undefined || outputs === undefined || (shape.length !== 2 && shape.length !== 4))
    throw damaged(file, `${name}: expected a kernel of 2 or 4 axes, got [${shape}]`);
  const places = shape.slice(0, -2);
  return {
    file,
    dtype,
    shape: [outputs, inputs, ...places],
    pieces: async function* () {
      const tensor = await readStoredTensor(kernel);
      const area = places.reduce((product, size) => product * size, 1);
      yield transpose(tensor, { area, inputs, outputs });
    },
  };
}

/** Rows and columns that are worked on together, so that what was fetched from memory is used before it is gone. */
const BLOCK = 32;

function transpose(
  { dtype, data }: { readonly dtype: StoredTensor["dtype"]; readonly data: SafetensorsData },
  { area, inputs, outputs }: { readonly area: number; readonly inputs: number; readonly outputs: number },
): SafetensorsData {
  const transposed = elementsOf(dtype, allocate(data.byteLength, "a kernel"));
  const rows = area * inputs;
  for (let rowBlock = 0; rowBlock < rows; rowBlock += BLOCK) {
    const rowEnd = Math.min(rows, rowBlock + BLOCK);
    for (let columnBlock = 0; columnBlock < outputs; columnBlock += BLOCK) {
      const columnEnd = Math.min(outputs, columnBlock + BLOCK);
      for (let row = rowBlock; row < rowEnd; row++) {
        // [place, input] becomes [input, place].
        const target = (row % inputs) * area + Math.floor(row / inputs);
        for (let column = columnBlock; column < columnEnd; column++)
          transposed[column * rows + target] = data[row * outputs + column]!;
      }
    }
  }
  return transposed;
}
