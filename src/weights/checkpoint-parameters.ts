/** A model's parameters out of a checkpoint's tensors. */
import { LingolensError } from "../errors.js";
import { FLOAT_DTYPES, sameBytes } from "./safetensors.js";
import { readStoredTensor, type StoredTensor } from "./stored-tensor.js";

/**
 * The tensors by the names of the parameters that they hold. Copies of one parameter are compared.
 * @param where Names the checkpoint in errors.
 * @param parameterOf A table of names: checkpoint-names.ts.
 * @throws {LingolensError} `checkpoint-mismatch` for copies that differ and tensors that are no floats
 */
export async function parameterTensors(
  where: string,
  tensors: ReadonlyMap<string, StoredTensor>,
  parameterOf: (tensorName: string) => string | undefined,
): Promise<Map<string, StoredTensor>> {
  const parameters = new Map<string, StoredTensor>();
  const holders = new Map<string, string>();
  for (const [tensorName, tensor] of tensors) {
    const name = parameterOf(tensorName);
    if (name === undefined) continue;
    const first = parameters.get(name);
    if (!first) {
      checkDtype(tensorName, tensor);
      parameters.set(name, tensor);
      holders.set(name, tensorName);
    } else if (!(await sameValues(first, tensor))) {
      throw new LingolensError(
        "checkpoint-mismatch",
        `${where}: expected "${holders.get(name)}" and "${tensorName}" to be copies of one embedding, got different ` +
          "values. A model with an output layer of its own is not supported.",
      );
    }
  }
  return parameters;
}

function checkDtype(tensorName: string, { file, dtype }: StoredTensor): void {
  if (FLOAT_DTYPES.includes(dtype)) return;
  throw new LingolensError(
    "checkpoint-mismatch",
    `${file}: tensor ${tensorName}: expected ${FLOAT_DTYPES.join(", ")} as dtype, got ${dtype}. ` +
      "Quantised checkpoints are not read.",
  );
}

async function sameValues(a: StoredTensor, b: StoredTensor): Promise<boolean> {
  if (a.dtype !== b.dtype || `${a.shape}` !== `${b.shape}`) return false;
  if (a.location && b.location) {
    const { location: placeA } = a;
    const { location: placeB } = b;
    const shared = placeA.file === placeB.file && placeA.offset === placeB.offset;
    return shared || sameBytes(placeA, placeB);
  }
  const [dataA, dataB] = [(await readStoredTensor(a)).data, (await readStoredTensor(b)).data];
  const bytes = ({ buffer, byteOffset, byteLength }: ArrayBufferView) =>
    Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength);
  return bytes(dataA).equals(bytes(dataB));
}
