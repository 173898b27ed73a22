import { realpath } from "node:fs/promises";
import { dirname, relative, sep } from "node:path";
import type { HostTensors } from "../engine/compile.js";
import type { DType } from "../engine/engine.js";
import type { ProgramWeights } from "../engine/programs.js";
import type { WeightLocation } from "../graph/index.js";
import { SCALE_SUFFIX, SMOOTHING_SUFFIX } from "../weights/int8-weights.js";
import type { ModelFolder } from "../weights/model-folder.js";
import type { TensorLocation } from "../weights/safetensors.js";
import { elementCount } from "../weights/stored-tensor.js";

/** A model's folder, of whatever kind of model. */
interface WeightsFolder<Config> extends Pick<ModelFolder, "path" | "weights"> {
  readonly config: Config;
}

/** The weights of a model folder, which stay in their files but for those that have to be converted. */
export async function folderWeights<Config>(folder: WeightsFolder<Config>): Promise<ProgramWeights<Config>> {
  const locations = new Map<string, WeightLocation>();
  const files = await realFiles(folder);
  const externalData = commonFolder(folder.path, [...files.values()]);
  const converted: Record<string, HostTensors[string]> = {};
  const int8Names = new Set<string>();
  const locate = (name: string, dtype: DType, { file, offset, length }: TensorLocation): void => {
    const path = relative(externalData, files.get(file)!).replaceAll(sep, "/");
    locations.set(name, { file: path, dtype, offset, byteLength: length });
  };
  for (const [name, { location, int8, shape, read }] of folder.weights) {
    if (location) locate(name, "float32", location);
    else if (int8) {
      int8Names.add(name);
      locate(name, "int8", int8.steps);
      locate(name + SCALE_SUFFIX, "float32", int8.scale);
      locate(name + SMOOTHING_SUFFIX, "float32", int8.smoothing);
    } else converted[name] = { dtype: "float32", shape, data: await read() };
  }
  const size = [...folder.weights.values()].reduce((sum, { shape }) => sum + elementCount(shape), 0);
  const read = (name: string) => folder.weights.get(name)!.read();
  return { config: folder.config, locations, externalData, converted, int8: int8Names, size, read };
}

/**
 * Where the files with weights really are. In the hub's cache a model's folder holds links, and ONNX Runtime reads
 * nothing that is outside of the folder it is given.
 */
async function realFiles({ weights }: Pick<ModelFolder, "weights">): Promise<Map<string, string>> {
  const files = new Set(
    [...weights.values()].flatMap(({ location, int8 }) => {
      return [...(location ? [location] : []), ...Object.values(int8 ?? {})].map(({ file }) => file);
    }),
  );
  return new Map(await Promise.all([...files].map(async (file) => [file, await realpath(file)] as const)));
}

/** The deepest folder that holds all the files; `none` where there are no files. */
function commonFolder(none: string, files: readonly string[]): string {
  let folder = files[0] === undefined ? none : dirname(files[0]);
  while (files.some((file) => relative(folder, file).startsWith(".."))) folder = dirname(folder);
  return folder;
}
