import type { CaptionerConfig } from "../model/config.js";
import type { CaptionBatch } from "./train-program.js";

/** A picture with its tokenised captions, each `[lang] tokens </s>`. */
export interface CaptionedPicture {
  /** [channels, size, size], normalised. */
  readonly pixelValues: Float32Array;
  readonly captions: readonly (readonly number[])[];
}

/**
 * Puts pictures and captions into rectangles. Decoder inputs are the labels one place later, behind the start
 * token; what is shorter than the longest caption is padded, as are pictures with fewer captions than others.
 * @param maxLength longer captions are cut to it, their last token kept
 */
export function makeBatch(
  pictures: readonly CaptionedPicture[],
  { vision, ids }: CaptionerConfig,
  maxLength: number,
): CaptionBatch {
  const captions = Math.max(...pictures.map((picture) => picture.captions.length));
  const cut = pictures.map((picture) => {
    return picture.captions.map((tokens) => {
      return tokens.length <= maxLength ? tokens : [...tokens.slice(0, maxLength - 1), tokens.at(-1)!];
    });
  });
  const length = Math.max(...cut.flat().map((tokens) => tokens.length));

  const labels = new BigInt64Array(pictures.length * captions * length).fill(BigInt(ids.pad));
  const decoderInputIds = labels.slice();
  cut.forEach((rows, picture) => {
    rows.forEach((tokens, caption) => {
      const start = (picture * captions + caption) * length;
      decoderInputIds[start] = BigInt(ids.decoderStart);
      tokens.forEach((token, position) => {
        labels[start + position] = BigInt(token);
        if (position + 1 < length) decoderInputIds[start + position + 1] = BigInt(token);
      });
    });
  });

  const pixels = vision.channels * vision.imageSize ** 2;
  const pixelValues = new Float32Array(pictures.length * pixels);
  pictures.forEach((picture, i) => {
    pixelValues.set(picture.pixelValues, i * pixels);
  });

  const shape = [pictures.length, captions, length];
  return {
    pixelValues: {
      dtype: "float32",
      shape: [pictures.length, vision.channels, vision.imageSize, vision.imageSize],
      data: pixelValues,
    },
    decoderInputIds: { dtype: "int64", shape, data: decoderInputIds },
    labels: { dtype: "int64", shape, data: labels },
    positions: { dtype: "int64", shape: [length], data: BigInt64Array.from({ length }, (_, i) => BigInt(i)) },
  };
}
