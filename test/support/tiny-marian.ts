/** Marian models of a few thousand parameters, whose translations are random words, but always the same. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type MarianConfig, writeMarianConfig } from "../../src/model/marian-config.js";
import { randomNumbers } from "../../src/model/random.js";
import { writeSentencePieceModel } from "../../src/text/sentencepiece-model.js";
import { marianParameterShapes } from "../../src/weights/parameter-shapes.js";
import { writeSafetensors } from "../../src/weights/safetensors.js";
import { smallModel, smallPieces } from "./small-tokenizer.js";

/** Writes a model's folder; another seed makes another model. */
export async function writeTinyMarian(folder: string, seed: number, maxPositions = 128): Promise<void> {
  await mkdir(folder, { recursive: true });
  const pieces = ["</s>", "<unk>", ...smallPieces.slice(3).map(({ text }) => text), "<pad>"];
  const vocabularySize = pieces.length;
  const pad = vocabularySize - 1;
  const hiddenSize = 16;
  const config: MarianConfig = {
    hiddenSize,
    maxPositions,
    vocabularySize,
    activation: "swish",
    scaleEmbedding: true,
    encoder: { layers: 1, heads: 2, ffnDim: 32 },
    decoder: { layers: 1, heads: 2, ffnDim: 32, hiddenSize, vocabularySize },
    ids: { pad, eos: 0, decoderStart: pad },
    forcedEos: 0,
    bannedSequences: [[pad]],
    renormalize: false,
  };
  await writeFile(join(folder, "config.json"), JSON.stringify(writeMarianConfig(config)));
  await writeFile(
    join(folder, "vocab.json"),
    JSON.stringify(Object.fromEntries(pieces.map((piece, id) => [piece, id]))),
  );
  const model = writeSentencePieceModel(smallModel());
  for (const name of ["source.spm", "target.spm"]) await writeFile(join(folder, name), model);
  const random = randomNumbers(seed);
  const shapes = [...marianParameterShapes(config)].filter(([name]) => !name.includes("embed_positions"));
  const tensors = shapes.map(([name, shape]) => {
    const data = new Float32Array(shape.reduce((a, b) => a * b, 1));
    const isNorm = /norm\.weight$/.test(name);
    for (let i = 0; i < data.length; i++) data[i] = isNorm ? 1 : name.endsWith("bias") ? 0 : random() - 0.5;
    return [name, { dtype: "F32" as const, shape, data }] as const;
  });
  await writeSafetensors(join(folder, "model.safetensors"), new Map(tensors));
}
