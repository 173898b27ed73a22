import { type ImageFormat, sniff } from "../../image/sniff.js";
import { PictureError } from "../download/loss.js";
import { DEFAULT_RULES, type PictureRules, processPicture } from "../download/process-picture.js";
import type { Problem } from "./problem.js";

const ENDINGS: Readonly<Record<ImageFormat, readonly string[]>> = {
  JPEG: ["jpg", "jpeg"],
  PNG: ["png"],
  WebP: ["webp"],
  GIF: ["gif"],
  AVIF: ["avif"],
  TIFF: ["tif", "tiff"],
};

/** Whatever its shape: it is in the dataset. */
const RULES: PictureRules = {
  ...DEFAULT_RULES,
  resize: "no",
  minSide: 1,
  maxAspect: Number.POSITIVE_INFINITY,
};

/**
 * Decodes a picture to its end.
 * @param ending of its name, such as "jpg"
 * @param said what the dataset says of it: `width` and `height`, if anything
 */
export async function checkPicture(
  bytes: Uint8Array,
  ending: string,
  said: Readonly<Record<string, unknown>>,
): Promise<Omit<Problem, "place">[]> {
  const problems: Omit<Problem, "place">[] = [];
  const found = sniff(bytes);
  if (found.kind === "image" && !ENDINGS[found.format].includes(ending.toLowerCase()))
    problems.push({ kind: "mislabelled", message: `ends in .${ending} and is ${found.format}` });
  try {
    const { originalWidth, originalHeight } = await processPicture(bytes, RULES);
    const { width = originalWidth, height = originalHeight } = said;
    if (width !== originalWidth || height !== originalHeight)
      problems.push({
        kind: "mislabelled",
        message: `is said to have ${width} x ${height} pixels and has ${originalWidth} x ${originalHeight}`,
      });
  } catch (error) {
    if (!(error instanceof PictureError)) throw error;
    problems.push({
      kind: "unreadable",
      message: `cannot be decoded: ${error.message.replace("The answer", "the file")}`,
    });
  }
  return problems;
}
