/** A folder for transformers.js (@huggingface/transformers) and other programs that run ONNX graphs. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { encodeProgram, type Program, programParameters, type WeightLocation } from "../graph/index.js";
import { writeFileAtomically } from "../weights/atomic-file.js";
import { writeFully } from "../weights/file-bytes.js";
import { float32ToFloat16 } from "../weights/half.js";
import type { ModelFolder } from "../weights/model-folder.js";
import { elementBytes, type SafetensorsSource } from "../weights/safetensors.js";
import { ELEMENT_BYTES } from "../weights/safetensors-header.js";
import { elementCount } from "../weights/stored-tensor.js";
import {
  withCaptionLength,
  writeGenerationConfig,
  writeJson,
  writePreprocessorConfig,
} from "./folder-files.js";
import { huggingFaceConfig } from "./huggingface-config.js";
import { decoderProgram, encoderProgram } from "./onnx-programs.js";
import { type ExportOptions, type Parameter, tracked } from "./parameters.js";
import { writeFastTokenizer } from "./tokenizer-files.js";

export interface OnnxOptions extends ExportOptions {
  /** What weights are stored as; results are computed in float32 in any case. Default "fp32". */
  readonly dtype?: "fp32" | "fp16";
  /** Most bytes of a file of weights, unless one weight alone has more. Default 2³⁰: browsers keep a file in one buffer. */
  readonly maxFileBytes?: number;
}

/** Writes the model's files into a folder that is there. */
export async function exportOnnx(
  folder: ModelFolder,
  out: string,
  { dtype = "fp32", maxFileBytes = 2 ** 30, ...options }: OnnxOptions = {},
): Promise<void> {
  const suffix = dtype === "fp32" ? "" : `_${dtype}`;
  const graphs = [
    layOut(`encoder_model${suffix}.onnx`, encoderProgram(folder.config), folder, { dtype, maxFileBytes }),
    layOut(`decoder_model_merged${suffix}.onnx`, decoderProgram(folder.config), folder, {
      dtype,
      maxFileBytes,
    }),
  ];
  await writeJson(out, "config.json", {
    ...huggingFaceConfig(folder.config, { tied: true, dtype: "float32" }),
    "transformers.js_config": {
      dtype,
      use_external_data_format: Object.fromEntries(graphs.map(({ name, files }) => [name, files.size])),
    },
  });
  // transformers.js has no beam search yet, and goes wrong where the settings ask for one.
  await writeGenerationConfig(withCaptionLength(folder, { num_beams: 1 }), out);
  await writePreprocessorConfig(folder, out);
  await writeFastTokenizer(folder, out);

  await mkdir(join(out, "onnx"));
  for (const { name, program, weights } of graphs)
    await writeFile(join(out, "onnx", name), encodeProgram(program, { weights }).bytes);
  const files = new Map(graphs.flatMap((graph) => [...graph.files]));
  const sources = tracked(new Map([...files.values()].flatMap((tensors) => [...tensors])), options);
  for (const [name, tensors] of files) await writeData(join(out, "onnx", name), tensors.keys(), sources);
}

/** A weight in a file of weights. One that both graphs have, each has in a file of its own. */
interface PlacedWeight {
  readonly name: string;
  readonly offset: number;
}

interface Graph {
  readonly name: string;
  readonly program: Program;
  /** Where the graph finds its weights. */
  readonly weights: ReadonlyMap<string, WeightLocation>;
  /** What the files of weights hold, by their names. */
  readonly files: ReadonlyMap<string, ReadonlyMap<PlacedWeight, SafetensorsSource>>;
}

/** ONNX asks for offsets at which a file can be mapped into memory. */
const ALIGNMENT = 4096;

/** Lays a graph's weights out in files with the names that transformers.js looks for. */
function layOut(
  name: string,
  program: Program,
  folder: ModelFolder,
  { dtype, maxFileBytes }: Required<Pick<OnnxOptions, "dtype" | "maxFileBytes">>,
): Graph {
  const weights = new Map<string, WeightLocation>();
  const files = new Map<string, Map<PlacedWeight, SafetensorsSource>>();
  let [file, end] = ["", Infinity];
  for (const parameter of programParameters(program).keys()) {
    const source = stored(folder.weights.get(parameter)!, dtype);
    const byteLength = elementCount(source.shape) * ELEMENT_BYTES[source.dtype];
    let offset = Math.ceil(end / ALIGNMENT) * ALIGNMENT;
    if (offset + byteLength > maxFileBytes && end > 0) {
      file = `${name}_data${files.size === 0 ? "" : `_${files.size}`}`;
      files.set(file, new Map());
      offset = 0;
    }
    end = offset + byteLength;
    weights.set(parameter, { file, dtype: dtype === "fp32" ? "float32" : "float16", offset, byteLength });
    files.get(file)!.set({ name: parameter, offset }, source);
  }
  return { name, program, weights, files };
}

function stored({ shape, read }: Parameter, dtype: "fp32" | "fp16"): SafetensorsSource {
  if (dtype === "fp32") return { dtype: "F32", shape, data: read };
  return { dtype: "F16", shape, data: async () => float32ToFloat16(await read()) };
}

async function writeData(
  path: string,
  weights: Iterable<PlacedWeight>,
  sources: ReadonlyMap<PlacedWeight, SafetensorsSource>,
): Promise<void> {
  await writeFileAtomically(path, async (file) => {
    let end = 0;
    for (const weight of weights) {
      await writeFully(file, new Uint8Array(weight.offset - end));
      end = weight.offset;
      for await (const bytes of elementBytes(weight.name, sources.get(weight)!)) {
        await writeFully(file, bytes);
        end += bytes.length;
      }
    }
  });
}
