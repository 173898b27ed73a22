/** lingolens describes pictures in many languages. */
export type {
  CallOptions,
  Caption,
  Captioner,
  CaptionResult,
  CaptionScore,
  GivenCaption,
  NamedPicture,
  StreamedCaption,
} from "./captioner/captioner.js";
export { type LoadOptions, loadCaptioner } from "./captioner/load-captioner.js";
export type { CaptionOptions } from "./captioner/options.js";
export { type ErrorCode, LingolensError } from "./errors.js";
export type { PictureSource } from "./image/picture-source.js";
export type { CaptionerConfig } from "./model/config.js";
export type { PersonPolicy } from "./text/person-mask.js";
export type { Fault } from "./translation/quality-gate.js";
export {
  type TranslateOptions,
  type Translation,
  Translator,
  type TranslatorOptions,
  translateTexts,
} from "./translation/translator.js";
