/** A folder for Python: Hugging Face's `VisionEncoderDecoderModel.from_pretrained`. */
import { join } from "node:path";
import { float32ToBfloat16, float32ToFloat16 } from "../weights/half.js";
import type { ModelFolder } from "../weights/model-folder.js";
import { type SafetensorsData, type SafetensorsSource, writeSafetensors } from "../weights/safetensors.js";
import type { SafetensorsDType } from "../weights/safetensors-header.js";
import {
  withCaptionLength,
  writeGenerationConfig,
  writeJson,
  writePreprocessorConfig,
} from "./folder-files.js";
import { huggingFaceConfig } from "./huggingface-config.js";
import { type FoldedModel, foldEpsilon, foldLogitsBias, foldProjection } from "./huggingface-folds.js";
import { type ExportOptions, type Parameter, tracked } from "./parameters.js";
import { writeFastTokenizer } from "./tokenizer-files.js";

export type StorageType = "fp32" | "fp16" | "bf16";

export interface HuggingFaceOptions extends ExportOptions {
  /** What weights are stored as. Default "fp32". */
  readonly dtype?: StorageType;
}

const STORAGE: Record<
  StorageType,
  {
    readonly dtype: SafetensorsDType;
    readonly torch: "float32" | "float16" | "bfloat16";
    readonly narrow: (values: Float32Array) => SafetensorsData;
  }
> = {
  fp32: { dtype: "F32", torch: "float32", narrow: (values) => values },
  fp16: { dtype: "F16", torch: "float16", narrow: float32ToFloat16 },
  bf16: { dtype: "BF16", torch: "bfloat16", narrow: float32ToBfloat16 },
};

/**
 * Writes the model's files into a folder that is there. The function that the model computes stays the same: what
 * Hugging Face's class cannot express is folded into its weights (huggingface-folds.ts).
 */
export async function exportHuggingFace(
  folder: ModelFolder,
  out: string,
  { dtype = "fp32", ...options }: HuggingFaceOptions = {},
): Promise<void> {
  const model = foldProjection(
    foldEpsilon(await foldLogitsBias({ config: folder.config, parameters: folder.weights })),
    options.signal,
  );
  notify(folder, model, options);
  const storage = STORAGE[dtype];
  const config = huggingFaceConfig(model.config, { tied: model.head === undefined, dtype: storage.torch });
  await writeJson(out, "config.json", config);
  await writeGenerationConfig(withCaptionLength(folder), out);
  await writePreprocessorConfig(folder, out);
  await writeFastTokenizer(folder, out);
  const stored = ({ shape, read }: Parameter): SafetensorsSource => ({
    dtype: storage.dtype,
    shape,
    data: async () => storage.narrow(await read()),
  });
  const tensors = [...namedParameters(model)].map(([name, parameter]) => [name, stored(parameter)] as const);
  await writeSafetensors(join(out, "model.safetensors"), tracked(new Map(tensors), options));
}

/** Beginnings of our names and of those that transformers 4 wrote and 5 reads, too. */
const NAMES = [
  ["model.encoder.vision_model.", "encoder.vision_model."],
  ["model.visual_projection.", "enc_to_dec_proj."],
  ["model.shared.", "decoder.model.decoder.embed_tokens."],
  ["model.decoder.", "decoder.model.decoder."],
] as const;

function* namedParameters({ parameters, head }: FoldedModel): Generator<[string, Parameter]> {
  for (const [name, parameter] of parameters) {
    const [ours, theirs] = NAMES.find(([start]) => name.startsWith(start)) ?? [];
    if (ours !== undefined) yield [name.replace(ours, theirs), parameter];
  }
  if (head) yield ["decoder.lm_head.weight", head];
}

function notify({ config }: ModelFolder, { head, config: folded }: FoldedModel, { onNotice }: ExportOptions) {
  if (folded.decoder.layerNormEps !== config.decoder.layerNormEps) {
    onNotice?.(
      `The decoder's norms have the epsilon ${config.decoder.layerNormEps} and PyTorch's mBART has ` +
        `${folded.decoder.layerNormEps}: weights are scaled, so that results stay the same.`,
    );
  }
  if (head) {
    onNotice?.(
      "final_logits_bias is not zero and Hugging Face's MBartForCausalLM has none: it is folded into an output layer " +
        "of its own. Results stay the same; lingolens itself does not read such a folder.",
    );
  }
}
