/** lingolens describes pictures in many languages. */
export {
  type CallOptions,
  type Caption,
  type Captioner,
  type CaptionResult,
  type CaptionScore,
  type GivenCaption,
  type LoadOptions,
  loadCaptioner,
  type NamedPicture,
  type StreamedCaption,
} from "./captioner/captioner.js";
export type { CaptionOptions } from "./captioner/options.js";
export { type ErrorCode, LingolensError } from "./errors.js";
export type { PictureSource } from "./image/picture-source.js";
export type { CaptionerConfig } from "./model/config.js";
