import { basename, isAbsolute } from "node:path";
import type { Captioner } from "../captioner/captioner.js";
import { resolveLanguage } from "../text/languages.js";
import type { ModelFiles } from "./model-files.js";
import type { ServerSettings } from "./settings.js";
import type { Translations } from "./translations.js";

/** What a page or a program needs to know to ask well. Of a folder's path only the name is told. */
export function describeModel({
  captioner,
  model,
  settings,
  modelFiles,
  translations,
}: {
  readonly captioner: Captioner;
  readonly model: string | undefined;
  readonly settings: ServerSettings;
  readonly modelFiles?: ModelFiles | undefined;
  readonly translations?: Translations | undefined;
}) {
  const { imageSize, patchSize } = captioner.config.vision;
  const { size, cropSize } = captioner.preprocessor;
  const isPath = model !== undefined && (isAbsolute(model) || /^\.|[/\\].*[/\\]/.test(model));
  return {
    models: [
      {
        id: model === undefined ? "bundled" : isPath ? basename(model) : model,
        bundled: model === undefined,
        languages: captioner.languages.map((code) => resolveLanguage(code)),
        imageSize,
        grid: imageSize / patchSize,
        view: { size, cropSize },
        ...(modelFiles && { files: modelFiles.path }),
      },
    ],
    translations: translations !== undefined,
    limits: {
      images: settings.maxImages,
      bytes: settings.maxBody,
      pixels: settings.maxPixels,
      rows: settings.maxRows,
      requestsPerMinute: settings.rateLimit,
    },
  };
}
