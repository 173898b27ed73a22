import type { Captioner } from "../captioner/captioner.js";
import type { DatasetOptions } from "../data/dataset.js";
import { resolveLanguage } from "../text/languages.js";
import { describePictures, type PictureLines } from "./describe-pictures.js";
import { evaluatedPictures, picturesIdentity } from "./evaluated-pictures.js";
import { PUBLISHED } from "./original-results.js";
import { evaluationPage } from "./report-page.js";
import { METRICS_FILE, REPORT_FILE, type RunFailure } from "./run-files.js";
import { RunFolder } from "./run-folder.js";
import { type EvaluationReport, reportOf } from "./run-report.js";
import { evaluationSearch, modelIdentity, type SearchOptions } from "./run-settings.js";

export type { EvaluationReport, LanguageReport } from "./run-report.js";

export interface EvaluateOptions {
  /** A dataset of any format (docs/data.md). */
  readonly data: string;
  /** Where its pictures are, which of its splits is meant, …. */
  readonly dataset?: DatasetOptions;
  /** ISO or mBART codes. Default: the languages of the model that the dataset has captions in. */
  readonly languages?: readonly string[];
  /** The first so many pictures. Default: all. */
  readonly limit?: number;
  /** How captions are searched. Default: 8 pictures at once, else as captions are by default. */
  readonly caption?: SearchOptions;
  /** As the published model was evaluated, its results beside: beam 4, length 64, by default its languages. */
  readonly like?: "original";
  /** Keeps captions and report in a folder, and goes on with a run that was stopped. */
  readonly run?: EvaluationRun;
  readonly signal?: AbortSignal;
  /** Told of pictures; those that a stopped run had described count as done. */
  readonly onProgress?: (progress: { readonly done: number; readonly total: number }) => void;
  /** Told, at the end, of every picture that could not be read. */
  readonly onFailure?: (failure: RunFailure) => void;
}

export interface EvaluationRun {
  readonly folder: string;
  /** The captioner's model: what people call it, its folder, and the numbers it computes with if not those stored. */
  readonly model: { readonly name: string; readonly folder: string; readonly dtype?: string };
  /** Told once where another process is at work in the folder. */
  readonly onWait?: () => void;
}

/**
 * Captions a dataset's pictures and compares with their references; scores the references by the model, too.
 * @throws {LingolensError} `dataset-invalid`, `option-unsupported`; `unreadable-image` where no picture can be read;
 * `already-exists` where the run's folder is another's; `cancelled`
 */
export async function evaluateModel(
  captioner: Captioner,
  options: EvaluateOptions,
): Promise<EvaluationReport> {
  const { data, dataset, limit, languages: wanted, like, run, signal, onProgress } = options;
  const chosen = await evaluatedPictures({
    data,
    ...(dataset && { dataset }),
    ...(limit !== undefined && { limit }),
    ...(wanted && { languages: wanted }),
    defaultLanguages: like ? Object.keys(PUBLISHED.bleu) : captioner.languages,
  });
  const { languages, pictures } = chosen;
  const search = evaluationSearch(options.caption ?? {}, languages, like);
  // How many pictures are worked on at once is the machine's affair.
  const { batchSize, ...settings } = search;
  const evaluate = async (folder?: RunFolder): Promise<EvaluationReport> => {
    const lines: PictureLines[] = folder ? await folder.keep(pictures, batchSize) : [];
    const tell = () => onProgress?.({ done: lines.length, total: pictures.length });
    tell();
    const rest = pictures.slice(lines.length);
    for await (const batch of describePictures(captioner, rest, search, signal)) {
      await folder?.append(batch);
      lines.push(...batch);
      tell();
    }
    const isoCodes = languages.map((code) => resolveLanguage(code).iso);
    const report = await reportOf(lines, isoCodes, like);
    if (run && folder) {
      const { beams, maxLength, ignoreExif } = search;
      const facts = { beams, "longest caption": `${maxLength} tokens` };
      const page = { report, pictures, lines, model: run.model.name, data, facts, ignoreExif, signal };
      await folder.write(REPORT_FILE, await evaluationPage(page));
      await folder.write(METRICS_FILE, `${JSON.stringify(report)}\n`);
    }
    for (const line of lines.flat()) if ("error" in line) options.onFailure?.(line);
    return report;
  };
  if (!run) return evaluate();
  const asked = {
    model: await modelIdentity(run.model.folder, run.model.dtype),
    data: picturesIdentity(chosen),
    limit,
    like,
    decoderStart: captioner.config.ids.decoderStart,
    ...settings,
  };
  const { onWait } = run;
  return RunFolder.use(run.folder, asked, evaluate, { ...(signal && { signal }), ...(onWait && { onWait }) });
}
