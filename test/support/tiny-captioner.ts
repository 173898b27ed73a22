/** A whole model folder, small enough that a caption takes milliseconds: random weights, the bundled tokenizer. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { CaptionerConfig } from "../../src/model/config.js";
import { initializeParameters } from "../../src/model/initialize.js";
import { loadTokenizerFolder } from "../../src/text/tokenizer-folder.js";
import { bundledModelFolder } from "../../src/weights/bundled-model.js";
import { writeModelFolder } from "../../src/weights/model-folder.js";
import { parameterShapes } from "../../src/weights/parameter-shapes.js";

/** Languages that the model counts as trained for; its tokenizer knows it and pt as well. */
export const tinyLanguages = ["en_XX", "de_DE", "fr_XX", "es_XX"];

const TOKENIZER_FILES = ["sentencepiece.bpe.model", "tokenizer_config.json"];

/** A new temporary folder. */
export async function temporaryFolder(): Promise<{ path: string; remove: () => Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), "lingolens-test-"));
  return { path, remove: () => rm(path, { recursive: true, force: true }) };
}

/** Writes the model: 96 px in patches of 16, one layer of width 32 on each side, 64 positions. It captions in word salad. */
export async function writeTinyCaptioner(folder: string): Promise<void> {
  const tokenizer = await loadTokenizerFolder(bundledModelFolder);
  const config: CaptionerConfig = {
    vision: {
      hiddenSize: 32,
      layers: 1,
      heads: 2,
      intermediateSize: 64,
      imageSize: 96,
      patchSize: 16,
      channels: 3,
      layerNormEps: 1e-5,
      activation: "quick_gelu",
    },
    decoder: {
      hiddenSize: 32,
      layers: 1,
      heads: 2,
      ffnDim: 64,
      vocabularySize: tokenizer.vocabularySize,
      maxPositions: 64,
      layerNormEps: 1e-5,
      activation: "gelu",
      scaleEmbedding: true,
      dropout: 0,
    },
    ids: { bos: tokenizer.bosId, pad: tokenizer.padId, eos: tokenizer.eosId, decoderStart: tokenizer.eosId },
  };
  const shapes = parameterShapes(config);
  const values = initializeParameters(config, shapes, 1);
  liven(values, tokenizer.eosId);
  const parameters = new Map([...shapes].map(([name, shape]) => [name, { shape, data: values.get(name)! }]));
  const files = TOKENIZER_FILES.map(
    async (name) => [name, await readFile(join(bundledModelFolder, name))] as const,
  );
  await writeModelFolder(folder, {
    config,
    parameters,
    tokenizerFiles: new Map(await Promise.all(files)),
    preprocessorConfig: { image_processor_type: "CLIPImageProcessor", size: 96, crop_size: 96 },
    generationConfig: { caption_languages: tinyLanguages },
  });
}

/**
 * Fresh weights repeat one word and never end. With more of a say for position and picture, captions differ from
 * picture to picture, and some end before they must.
 */
function liven(values: Map<string, Float32Array>, eosId: number): void {
  const scale = (name: string, factor: number): void => {
    const data = values.get(name);
    if (!data) throw new Error(`The model has no parameter ${name}.`);
    data.forEach((value, i) => {
      data[i] = value * factor;
    });
  };
  scale("model.decoder.embed_positions.weight", 15);
  scale("model.decoder.layers.0.encoder_attn.out_proj.weight", 3);
  scale("model.decoder.layer_norm.weight", 2);
  values.get("final_logits_bias")![eosId] = 4;
}
