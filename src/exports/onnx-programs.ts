/**
 * The captioner as the two programs that transformers.js runs, with its names of inputs and outputs:
 * https://github.com/huggingface/transformers.js, whose `VisionEncoderDecoderModel` feeds back `present.*` as
 * `past_key_values.*`, beginning with tensors of length 0.
 */
import {
  addDimensions,
  constantInt,
  type Dimension,
  input,
  multiplyDimensions,
  type Program,
  reshape,
  slice,
} from "../graph/index.js";
import { CaptionerGraph } from "../model/captioner.js";
import type { CaptionerConfig } from "../model/config.js";
import { crossKeyValues, languageModelHead, mbartDecoder } from "../model/mbart-decoder.js";
import { appended, type KeyValue } from "../nn/attention.js";
import { ParameterScope } from "../nn/parameters.js";

/** transformers.js looks for this name when it makes the first, empty past; all other names count as 0. */
const BATCH = "batch_size";
const PAST = "past_decoder_sequence_length";
const PAST_ENCODER = "past_encoder_sequence_length";
const LENGTH = "decoder_sequence_length";

/** pixel_values [batch, channels, size, size] → last_hidden_state [batch, positions, hidden], as the decoder sees it. */
export function encoderProgram(config: CaptionerConfig): Program {
  const { channels, imageSize } = config.vision;
  const pixelValues = input("pixel_values", "float32", [BATCH, channels, imageSize, imageSize]);
  return { outputs: { last_hidden_state: new CaptionerGraph(config).encode(pixelValues).projected } };
}

/**
 * input_ids [batch, length], encoder_hidden_states, past_key_values.N.{decoder,encoder}.{key,value} → logits [batch,
 * length, vocabulary] and present.N.*, the past of the next run.
 *
 * Keys and values of the picture are computed of those of its positions that are not in the past yet: of all in the
 * first run, of none later. So one graph without branches serves every run.
 */
export function decoderProgram({ vision, decoder }: CaptionerConfig): Program {
  const parameters = ParameterScope.root();
  const pictureLength = (vision.imageSize / vision.patchSize) ** 2 + 1;
  const picture = input("encoder_hidden_states", "float32", [BATCH, pictureLength, decoder.hiddenSize]);
  const past = pastInputs("decoder", PAST, decoder);
  const pastCross = pastInputs("encoder", PAST_ENCODER, decoder);
  const unseen = slice(picture, 1, PAST_ENCODER, pictureLength);
  const newCross = crossKeyValues(parameters.at("model.decoder"), decoder, unseen);
  const cross = newCross.map((next, layer) => appended(pastCross[layer]!, next));

  const all = constantInt([...Array(decoder.maxPositions).keys()], [decoder.maxPositions]);
  const end = addDimensions(PAST, LENGTH);
  const { lastHiddenState, own } = mbartDecoder(parameters, decoder, {
    ids: reshape(input("input_ids", "int64", [BATCH, LENGTH]), [BATCH, 1, LENGTH]),
    positions: slice(all, 0, PAST, end),
    cross,
    past: { pairs: past, positions: slice(all, 0, 0, end) },
  });
  const rows = reshape(lastHiddenState, [multiplyDimensions(BATCH, LENGTH), decoder.hiddenSize]);
  const logits = languageModelHead(parameters, decoder, rows, true);
  return {
    outputs: {
      logits: reshape(logits, [BATCH, LENGTH, decoder.vocabularySize]),
      ...presentOutputs("decoder", own),
      ...presentOutputs("encoder", cross),
    },
  };
}

function pastInputs(
  part: "decoder" | "encoder",
  length: Dimension,
  { layers, heads, hiddenSize }: CaptionerConfig["decoder"],
): KeyValue[] {
  const named = (layer: number, name: string) =>
    input(`past_key_values.${layer}.${part}.${name}`, "float32", [BATCH, heads, length, hiddenSize / heads]);
  return Array.from({ length: layers }, (_, layer) => ({
    key: named(layer, "key"),
    value: named(layer, "value"),
  }));
}

function presentOutputs(part: "decoder" | "encoder", pairs: readonly KeyValue[]): Program["outputs"] {
  return Object.fromEntries(
    pairs.flatMap(({ key, value }, layer) => [
      [`present.${layer}.${part}.key`, key],
      [`present.${layer}.${part}.value`, value],
    ]),
  );
}
