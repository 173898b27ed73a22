/**
 * What of lingolens runs in browsers so far: tokenizers, pictures to pixel values, languages. Nothing here imports
 * Node. Captioning itself needs the browser's engine, which is not there yet.
 */
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
