import type { Captioner, CaptionResult } from "../captioner/captioner.js";
import type { CaptionOptions } from "../captioner/options.js";
import {
  captionsIn,
  type DatasetEntry,
  type DatasetOptions,
  pictureOf,
  readDataset,
} from "../data/dataset.js";
import { LingolensError, throwIfCancelled } from "../errors.js";
import { resolveLanguage } from "../text/languages.js";
import { type CaptionScores, scoreCaptions } from "./caption-scores.js";

export interface EvaluateOptions {
  /** A dataset of any format (docs/data.md). */
  readonly data: string;
  /** Where its pictures are, which of its splits is meant, …. */
  readonly dataset?: DatasetOptions;
  /** ISO or mBART codes. Default: the languages of the model that the dataset has captions in. */
  readonly languages?: readonly string[];
  /** The first so many pictures. Default: all. */
  readonly limit?: number;
  readonly caption?: Pick<
    CaptionOptions,
    "beams" | "maxLength" | "batchSize" | "lengthPenalty" | "ignoreExif"
  >;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: { readonly done: number; readonly total: number }) => void;
}

export interface LanguageReport extends CaptionScores {
  /** Mean over the tokens of all reference captions. */
  readonly loss: number;
  /** Its exponential. */
  readonly perplexity: number;
}

export interface EvaluationReport {
  /** Mean over the tokens of all languages. */
  readonly loss: number;
  /** By ISO code. */
  readonly languages: Readonly<Record<string, LanguageReport>>;
}

/** Captions a dataset's pictures and compares with their references; scores the references by the model, too. */
export async function evaluateModel(
  captioner: Captioner,
  options: EvaluateOptions,
): Promise<EvaluationReport> {
  const { data, limit = Number.POSITIVE_INFINITY, signal, onProgress } = options;
  const entries: DatasetEntry[] = [];
  for await (const entry of readDataset(data, options.dataset)) {
    entries.push(entry);
    if (entries.length >= limit) break;
  }
  const codes = languagesOf(captioner, entries, options.languages);

  const gathered = new Map(
    codes.map((code) => [
      code,
      { hypotheses: [] as string[], references: [] as string[][], loss: 0, tokens: 0 },
    ]),
  );
  const total = 2 * entries.length;
  let done = 0;
  const count = () => onProgress?.({ done: ++done, total });

  for (const entry of entries) {
    throwIfCancelled(signal);
    const given = codes.flatMap((lang) => captionsIn(entry, lang).map((caption) => ({ lang, caption })));
    const scores = await captioner.score(await pictureOf(entry), given, {
      ...options.caption,
      ...(signal && { signal }),
    });
    scores.forEach(({ tokens, nll }, i) => {
      const language = gathered.get(given[i]!.lang)!;
      language.loss += nll * tokens.length;
      language.tokens += tokens.length;
    });
    count();
  }

  const results = captioner.captionEach(picturesOf(entries), {
    ...options.caption,
    lang: codes,
    ...(signal && { signal }),
  });
  let place = 0;
  for await (const result of results) {
    const { lang, captions } = described(result);
    const references = captionsIn(entries[Math.floor(place / codes.length)]!, lang);
    if (references.length > 0) {
      gathered.get(lang)!.hypotheses.push(captions[0]?.text ?? "");
      gathered.get(lang)!.references.push([...references]);
    }
    place += 1;
    if (place % codes.length === 0) count();
  }

  const sums = [...gathered.values()];
  const add = (key: "loss" | "tokens") => sums.reduce((sum, language) => sum + language[key], 0);
  const languages: Record<string, LanguageReport> = {};
  for (const [code, { hypotheses, references, ...sum }] of gathered) {
    const lang = resolveLanguage(code).iso;
    const loss = sum.loss / sum.tokens;
    const scores = await scoreCaptions(hypotheses, references, { lang });
    languages[lang] = { loss, perplexity: Math.exp(loss), ...scores };
  }
  return { loss: add("loss") / add("tokens"), languages };
}

/** mBART codes of the languages to evaluate, each with at least one reference. */
function languagesOf(
  captioner: Captioner,
  entries: readonly DatasetEntry[],
  asked?: readonly string[],
): string[] {
  const codes = asked ? asked.map((language) => resolveLanguage(language).code) : captioner.languages;
  const present = codes.filter((code) => entries.some((entry) => captionsIn(entry, code).length > 0));
  const missing = asked && codes.find((code) => !present.includes(code));
  if (missing) throw new LingolensError("dataset-invalid", `The dataset has no captions in ${missing}.`);
  if (present.length === 0)
    throw new LingolensError(
      "dataset-invalid",
      `The dataset has no captions in the model's languages, ${codes.join(", ")}.`,
    );
  return [...present];
}

async function* picturesOf(entries: readonly DatasetEntry[]) {
  for (const entry of entries) {
    const name = entry.range ? `${entry.imagePath}/${entry.image}` : entry.imagePath;
    yield { name, source: await pictureOf(entry) };
  }
}

function described(result: CaptionResult): Exclude<CaptionResult, { error: unknown }> {
  if ("error" in result) throw new LingolensError("unreadable-image", result.error.message);
  return result;
}
