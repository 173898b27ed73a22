/**
 * The names that other programs give the captioner's parameters. Ours are those of the original's PyTorch checkpoint.
 */

/** Beginnings of names and what they are called here; the first that fits decides. */
const SPELLINGS: readonly (readonly [pattern: RegExp, name: string])[] = [
  // Hugging Face's VisionEncoderDecoderModel as transformers 4 wrote it, and as 5 does, without `vision_model`.
  [/^encoder\.vision_model\./, "model.encoder.vision_model."],
  [/^encoder\.(?=embeddings\.|encoder\.|pre_layrnorm\.|post_layernorm\.)/, "model.encoder.vision_model."],
  [/^enc_to_dec_proj\./, "model.visual_projection."],
  // Copies of the one embedding.
  [/^(decoder\.)?(model\.decoder\.embed_tokens|lm_head)\.weight$/, "model.shared.weight"],
  [/^decoder\.model\.decoder\./, "model.decoder."],
];

/** 0, 1, 2, …, which older versions of transformers stored. */
const POSITION_IDS = /(^|\.)embeddings\.position_ids$/;

/**
 * The parameter that a tensor of a checkpoint holds, or undefined for one that holds none. Several tensors may hold
 * the same parameter: the tied copies. A name that fits no spelling is given back unchanged.
 */
export function parameterName(tensorName: string): string | undefined {
  if (POSITION_IDS.test(tensorName)) return undefined;
  const spelling = SPELLINGS.find(([pattern]) => pattern.test(tensorName));
  return spelling ? tensorName.replace(...spelling) : tensorName;
}

/** Whether the names are those of a Hugging Face `VisionEncoderDecoderModel`. */
export function isVisionEncoderDecoder(tensorNames: Iterable<string>): boolean {
  return [...tensorNames].some((name) => name.startsWith("decoder.model.decoder."));
}
