/**
 * lingolens in browsers: the same captions, from the same graphs, on onnxruntime-web. Nothing here imports Node.
 * `onnxruntime-web` is to be installed beside lingolens.
 */
export { type BrowserLoadOptions, loadCaptioner } from "./browser/load-captioner.js";
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
export type { CaptionOptions } from "./captioner/options.js";
export { type ErrorCode, LingolensError } from "./errors.js";
export { type RgbaImage, type RgbImage, rgbFromPixels } from "./image/pixels.js";
export { type PixelValues, preprocess } from "./image/preprocess.js";
export {
  clipPreprocessorConfig,
  type PreprocessorConfig,
  readPreprocessorConfig,
} from "./image/preprocessor-config.js";
export { type CaptionerConfig, parseConfig } from "./model/config.js";
export { type Language, languages, resolveLanguage } from "./text/languages.js";
export { loadTokenizer, type TokenizerFiles } from "./text/load-tokenizer.js";
export type { Mbart50Tokenizer } from "./text/mbart50-tokenizer.js";
