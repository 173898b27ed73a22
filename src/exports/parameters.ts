/** A model on its way from one form to another: parameters that are read, and changed, when their turn comes. */
import { throwIfCancelled } from "../errors.js";
import type { Weight } from "../weights/model-folder.js";
import type { SafetensorsData, SafetensorsSource } from "../weights/safetensors.js";
import { ELEMENT_BYTES } from "../weights/safetensors-header.js";
import { elementCount } from "../weights/stored-tensor.js";

/** One parameter; `read` gives its values in fresh memory, row-major. */
export type Parameter = Pick<Weight, "shape" | "read">;
export type Parameters = ReadonlyMap<string, Parameter>;

export interface ExportOptions {
  readonly signal?: AbortSignal;
  /** Called as weights are written, with bytes. */
  readonly onProgress?: (progress: { readonly done: number; readonly total: number }) => void;
  /** Told in a line what the user should know of the result. */
  readonly onNotice?: (line: string) => void;
}

/** The parameters with those of the names given replaced by what `change` makes of their values, in place or anew. */
export function withChanged(
  parameters: Parameters,
  names: Iterable<string>,
  change: (values: Float32Array) => Float32Array,
): Map<string, Parameter> {
  const changed = new Map(parameters);
  for (const name of names) {
    const { shape, read } = parameters.get(name)!;
    changed.set(name, { shape, read: async () => change(await read()) });
  }
  return changed;
}

/** The tensors, to be written with progress and a way to stop. */
export function tracked<Name>(
  tensors: ReadonlyMap<Name, SafetensorsSource>,
  { signal, onProgress }: ExportOptions,
): Map<Name, SafetensorsSource> {
  const bytes = ({ dtype, shape }: SafetensorsSource) => elementCount(shape) * ELEMENT_BYTES[dtype];
  const total = [...tensors.values()].reduce((sum, tensor) => sum + bytes(tensor), 0);
  let done = 0;
  return new Map(
    [...tensors].map(([name, { dtype, shape, data }]) => {
      const pieces = async function* (): AsyncGenerator<SafetensorsData> {
        throwIfCancelled(signal);
        const made = typeof data === "function" ? await data() : data;
        for await (const piece of ArrayBuffer.isView(made) ? [made] : made) {
          throwIfCancelled(signal);
          yield piece;
          done += piece.byteLength;
          onProgress?.({ done, total });
        }
      };
      return [name, { dtype, shape, data: pieces }] as const;
    }),
  );
}
