/**
 * The names that other programs give the captioner's parameters, a table for each. Ours are those of the original's
 * PyTorch checkpoint.
 *
 * A table's function gives the parameter that a tensor of a checkpoint holds, or undefined for one that holds none.
 * Several tensors may hold the same parameter: the tied copies. A name that fits no spelling is given back unchanged.
 */

/** Beginnings of names and what they are called here; the first that fits decides. */
type Spellings = readonly (readonly [pattern: RegExp, name: string])[];

/** 0, 1, 2, …, which older versions of transformers stored. */
const POSITION_IDS = /(^|\.)embeddings\.position_ids$/;

function respell(tensorName: string, spellings: Spellings): string {
  const spelling = spellings.find(([pattern]) => pattern.test(tensorName));
  return spelling ? tensorName.replace(...spelling) : tensorName;
}

const CAPTIONER: Spellings = [
  // Hugging Face's VisionEncoderDecoderModel as transformers 4 wrote it, and as 5 does, without `vision_model`.
  [/^encoder\.vision_model\./, "model.encoder.vision_model."],
  [/^encoder\.(?=embeddings\.|encoder\.|pre_layrnorm\.|post_layernorm\.)/, "model.encoder.vision_model."],
  [/^enc_to_dec_proj\./, "model.visual_projection."],
  // Copies of the one embedding.
  [/^(decoder\.)?(model\.decoder\.embed_tokens|lm_head)\.weight$/, "model.shared.weight"],
  [/^decoder\.model\.decoder\./, "model.decoder."],
];

/** The whole captioner: the original's, or Hugging Face's VisionEncoderDecoderModel. */
export function captionerParameter(tensorName: string): string | undefined {
  return POSITION_IDS.test(tensorName) ? undefined : respell(tensorName, CAPTIONER);
}

/** Whether the names are those of a Hugging Face `VisionEncoderDecoderModel`. */
export function isVisionEncoderDecoder(tensorNames: Iterable<string>): boolean {
  return [...tensorNames].some((name) => name.startsWith("decoder.model.decoder."));
}

/** The half of a whole CLIP that reads text, and what brings both halves together. */
const CLIP_OTHERS = /^(text_model\.|text_projection\.|visual_projection\.|logit_scale$)/;

const CLIP: Spellings = [
  [/^vision_model\./, "model.encoder.vision_model."],
  [/^(?=embeddings\.|encoder\.|pre_layrnorm\.|post_layernorm\.)/, "model.encoder.vision_model."],
];

/** Hugging Face's CLIPModel or CLIPVisionModel, of which the captioner takes the vision model. */
export function clipVisionParameter(tensorName: string): string | undefined {
  if (POSITION_IDS.test(tensorName) || CLIP_OTHERS.test(tensorName)) return undefined;
  return respell(tensorName, CLIP);
}

const MBART_ENCODER = /^model\.encoder\./;

const MBART: Spellings = [[/^(model\.decoder\.embed_tokens|lm_head)\.weight$/, "model.shared.weight"]];

/** Hugging Face's MBartForConditionalGeneration, of which the captioner takes everything but the text encoder. */
export function mbartParameter(tensorName: string): string | undefined {
  return MBART_ENCODER.test(tensorName) ? undefined : respell(tensorName, MBART);
}

const MARIAN: Spellings = [
  // Copies of the one embedding, and of the one table of sines, which newer versions of transformers do not store.
  [/^(model\.(encoder|decoder)\.embed_tokens|lm_head)\.weight$/, "model.shared.weight"],
  [/^model\.(encoder|decoder)\.embed_positions\.weight$/, "model.embed_positions.weight"],
];

/** Hugging Face's MarianMTModel. */
export function marianParameter(tensorName: string): string | undefined {
  return respell(tensorName, MARIAN);
}

/** Flax's word for a weight: of a dense or convolution layer, of a norm, of an embedding. */
const FLAX_WEIGHT = /(?<=^|\.)(kernel|scale|embedding)$/;

/**
 * The name that PyTorch has for a Flax parameter, by its path joined by dots, in any of the models above; and whether
 * it is a kernel, whose axes PyTorch has in another order.
 */
export function fromFlaxName(path: string): { readonly name: string; readonly kernel: boolean } {
  return { name: path.replace(FLAX_WEIGHT, "weight"), kernel: /(^|\.)kernel$/.test(path) };
}
