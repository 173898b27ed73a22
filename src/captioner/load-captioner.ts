import { availableParallelism } from "node:os";
import { createBf16Engine } from "../engine/bf16/bf16-engine.js";
import { createDeviceEngine } from "../engine/device/device-engine.js";
import type { Device } from "../engine/device/device-kind.js";
import { createNativeEngine } from "../engine/native.js";
import { SMALL_MODEL } from "../engine/programs.js";
import { LingolensError } from "../errors.js";
import { loadPicture } from "../image/picture-source.js";
import { int8Model, isInt8 } from "../quantization/cached-int8.js";
import { loadTokenizerFolder } from "../text/tokenizer-folder.js";
import { bundledModelFolder } from "../weights/bundled-model.js";
import { resolveModel } from "../weights/hub/resolve-model.js";
import type { HubOptions } from "../weights/hub/snapshot.js";
import { openModelFolder } from "../weights/model-folder.js";
import { type Captioner, LoadedCaptioner } from "./captioner.js";
import { DeviceRunner } from "./device-runner.js";
import { folderWeights } from "./folder-weights.js";
import { ModelPrograms } from "./model-programs.js";

/** What a captioner can compute with. */
export const CAPTION_DTYPES = ["fp32", "int8", "bf16"] as const;
export type CaptionDType = (typeof CAPTION_DTYPES)[number];

/** What the model is and, where it is of the Hugging Face hub, how it is fetched. */
export interface LoadOptions extends HubOptions {
  /**
   * A model folder; `owner/name[@revision]` of the Hugging Face hub; or "original", the published photo model.
   * Default: the model that comes with lingolens, which knows drawn scenes only.
   */
  readonly model?: string;
  /** Threads of the engine for each call. Default: the processors that this process may use. */
  readonly threads?: number;
  /**
   * Calls that are to run at once, as a server's do. Where `threads` is not given and the model is small, each has its
   * share of the processors: on a small product, threads spend more time waiting for each other than they save. Default 1.
   */
  readonly callsAtOnce?: number;
  /** The token that captions start from. Default: the model's. */
  readonly decoderStart?: number;
  /** Where to compute. Default: "cpu", this machine's processors. */
  readonly device?: Device;
  /**
   * Numbers to compute with: a model in float32 is rounded to int8 once, into the cache; "bf16" multiplies its matrices in
   * bf16, on processors with AMX or AVX512-BF16 and with the library oneDNN. Default: as it is stored.
   */
  readonly dtype?: CaptionDType;
}

/**
 * Loads a model, which is downloaded first if it is of the hub and not in the cache, and converted, once, if its weights
 * cannot be used as they are (docs/model-folder.md); `onProgress` is told of both.
 * @throws {LingolensError} `file-not-found`, `fetch-failed`, `cancelled`, `option-unsupported`, `config-invalid`,
 * `checkpoint-damaged`, `checkpoint-mismatch`, `tokenizer-damaged`, `engine-unavailable`
 */
export async function loadCaptioner(options: LoadOptions = {}): Promise<Captioner> {
  const { model, dtype, device = "cpu" } = options;
  const path = model === undefined ? bundledModelFolder : await resolveModel(model, options);
  const stored = await openModelFolder(path, options);
  if (dtype !== undefined && dtype !== "int8" && isInt8(stored))
    throw new LingolensError(
      "option-unsupported",
      `${path}: the weights are in int8, and are not computed with as ${dtype}. Leave dtype out, or take the model that ` +
        "they were made of.",
    );
  if (device !== "cpu" && (dtype === "int8" || isInt8(stored)))
    throw new LingolensError(
      "option-unsupported",
      `${path}: weights in int8 are of processors, and do not go with the device ${device}. Take the model in fp32.`,
    );
  if (device !== "cpu" && dtype === "bf16")
    throw new LingolensError(
      "option-unsupported",
      `bf16 is of processors, and does not go with the device ${device}.`,
    );
  const gpu = device === "cpu" ? undefined : await createDeviceEngine(device);
  const engine = gpu ?? (await (dtype === "bf16" ? createBf16Engine() : createNativeEngine()));
  const folder = dtype === "int8" ? await int8Model(engine, stored, options) : stored;
  const tokenizer = await loadTokenizerFolder(folder.path);
  const weights = await folderWeights(folder);
  const { callsAtOnce = 1 } = options;
  const share = weights.size <= SMALL_MODEL ? Math.ceil(availableParallelism() / callsAtOnce) : undefined;
  const threads = options.threads ?? share;
  const { generationConfig, preprocessorConfig } = folder;
  return new LoadedCaptioner({
    engine,
    programs: new ModelPrograms(engine, weights, { threads, dtype: dtype === "bf16" ? dtype : "fp32" }),
    ...(gpu && { runner: DeviceRunner.of(gpu, weights) }),
    tokenizer,
    generationConfig,
    preprocessorConfig,
    decoderStart: options.decoderStart,
    loadPicture: (source, { allowPrivate, ...rest }) =>
      loadPicture(source, { ...rest, fetch: { allowPrivate } }),
  });
}
