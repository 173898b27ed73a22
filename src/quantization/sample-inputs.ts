import { Describer } from "../captioner/describer.js";
import { folderWeights } from "../captioner/folder-weights.js";
import { modelLanguages } from "../captioner/languages.js";
import { ModelPrograms } from "../captioner/model-programs.js";
import { HostRunner } from "../captioner/model-runner.js";
import { resolveCaptionOptions } from "../captioner/options.js";
import { picturePreparation } from "../captioner/prepare-picture.js";
import type { HostTensors } from "../engine/compile.js";
import type { Engine } from "../engine/engine.js";
import { loadPicture, type PictureSource } from "../image/picture-source.js";
import { readPreprocessorConfig } from "../image/preprocessor-config.js";
import { captionerWeightInputs } from "../model/captioner.js";
import { type WeightInputs, weightGroups, weightInputName } from "../model/weight-inputs.js";
import { loadTokenizerFolder } from "../text/tokenizer-folder.js";
import { makeBatch } from "../training/batch.js";
import type { ModelFolder } from "../weights/model-folder.js";
import type { InputSample } from "./int8.js";
import type { QuantizeOptions } from "./quantize-model.js";

/** Longest caption in tokens that is made for the sample. */
const SAMPLE_LENGTH = 24;

/** Weights and what they all are multiplied with. */
export interface SampledWeights {
  readonly names: readonly string[];
  readonly sample: InputSample;
}

/**
 * What a model's weights are multiplied with while it describes pictures in its languages.
 * @throws {LingolensError} what is wrong with a picture
 */
export async function sampleInputs(
  engine: Engine,
  folder: ModelFolder,
  pictures: readonly PictureSource[],
  { threads, signal }: Pick<QuantizeOptions, "threads" | "signal">,
): Promise<SampledWeights[]> {
  const { config, generationConfig } = folder;
  const tokenizer = await loadTokenizerFolder(folder.path);
  const preprocessor = readPreprocessorConfig(folder.preprocessorConfig ?? {}, config.vision.imageSize);
  const prepare = picturePreparation(preprocessor, loadPicture);
  const programs = new ModelPrograms(engine, await folderWeights(folder), { threads });
  try {
    const options = resolveCaptionOptions({ beams: 1, maxLength: SAMPLE_LENGTH });
    const prepared = await Promise.all(
      pictures.map(async (source, i) => {
        const picture = await prepare({ name: `#${i + 1}`, source }, options, signal);
        if ("error" in picture) throw picture.error;
        return picture;
      }),
    );
    const languages = modelLanguages(tokenizer, generationConfig).trained;
    const describer = new Describer(new HostRunner(programs), config, tokenizer, generationConfig);
    const captions = await describer.describe(prepared, languages, options, { ...(signal && { signal }) });
    const described = prepared.map(({ pixelValues }, i) => ({
      pixelValues,
      captions: captions[i]!.map(([best]) => best!.tokens.slice(1)),
    }));
    const { labels: _, ...batch } = makeBatch(described, config, SAMPLE_LENGTH);
    const program = await programs.get("weightInputs");
    const inputs = await program.run(batch);
    return sampledWeights(captionerWeightInputs(config), inputs);
  } finally {
    await programs.close();
  }
}

/** @param inputs by `weightInputName`, what a program with the outputs `groupOutputs(graph)` gave */
export function sampledWeights(graph: WeightInputs, inputs: HostTensors): SampledWeights[] {
  return weightGroups(graph).map((names) => {
    const { shape, data } = inputs[weightInputName(names[0]!)]!;
    return { names, sample: { data: data as Float32Array, rows: data.length / shape.at(-1)! } };
  });
}
