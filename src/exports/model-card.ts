/** The page that a published model has on the hub: what it is, how it was made, what it is worth, where it fails. */
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { modelLanguages } from "../captioner/languages.js";
import type { CaptionScores } from "../evaluation/caption-scores.js";
import { languageName } from "../report/language-name.js";
import { resolveLanguage } from "../text/languages.js";
import { loadTokenizerFolder } from "../text/tokenizer-folder.js";
import { readJsonObject } from "../weights/json-file.js";
import type { ModelFolder, RawJson } from "../weights/model-folder.js";
import { parameterShapes } from "../weights/parameter-shapes.js";
import { elementCount } from "../weights/stored-tensor.js";

/** What a run folder says of the training of a model in it. */
export interface TrainingRecord {
  /** The run folder. */
  readonly path: string;
  readonly recipe: RawJson;
  /** Lines of metrics.jsonl. */
  readonly steps: readonly { readonly step: number; readonly loss: number }[];
  readonly evaluations: readonly {
    readonly step: number;
    readonly loss: number;
    readonly languages: Readonly<Record<string, number>>;
    readonly captions?: Readonly<Record<string, CaptionScores>>;
  }[];
}

/** The record of the run that a folder such as `RUN/final` or `RUN/checkpoints/step-000300` is of, if it is of one. */
export async function findTrainingRecord(model: string): Promise<TrainingRecord | undefined> {
  for (const path of [dirname(model), dirname(dirname(model))]) {
    const recipe = await readJsonObject(join(path, "recipe.json"), "config-invalid");
    const metrics = await readFile(join(path, "metrics.jsonl"), "utf8").catch(() => undefined);
    if (!recipe || metrics === undefined) continue;
    const lines = metrics
      .split("\n")
      .filter(Boolean)
      .map((line) => JSON.parse(line));
    return {
      path,
      recipe,
      steps: lines.filter(({ loss }) => typeof loss === "number"),
      evaluations: lines.flatMap(({ step, evaluation }) => (evaluation ? [{ step, ...evaluation }] : [])),
    };
  }
  return undefined;
}

/** @param name owner/name on the hub */
export async function modelCard(folder: ModelFolder, name: string, record?: TrainingRecord): Promise<string> {
  const tokenizer = await loadTokenizerFolder(folder.path);
  const codes = modelLanguages(tokenizer, folder.generationConfig).trained.map(
    (code) => resolveLanguage(code).iso,
  );
  const [first = "en"] = codes;
  const languages = codes.map(languageName).join(", ");
  const shapes = [...parameterShapes(folder.config).values()];
  const parameters = shapes.reduce((sum, shape) => sum + elementCount(shape), 0);
  const { vision, decoder } = folder.config;
  return `---
pipeline_tag: image-to-text
library_name: lingolens
language:
${codes.map((code) => `- ${code}`).join("\n")}
tags:
- image-captioning
- multilingual
---

# ${name.split("/")[1]}

Describes pictures in ${languages}: a CLIP vision encoder (${vision.layers} layers of ${vision.hiddenSize}, pictures of
${vision.imageSize} × ${vision.imageSize} pixels), a projection, and an mBART-50 decoder (${decoder.layers} layers of
${decoder.hiddenSize}, a vocabulary of ${decoder.vocabularySize}); ${millions(parameters)} parameters in all.

## Use

\`\`\`sh
npx lingolens caption photo.jpg --model ${name} --lang ${codes.join(",")}
\`\`\`

\`\`\`js
import { loadCaptioner } from "lingolens";

const captioner = await loadCaptioner({ model: "${name}" });
const [result] = await captioner.caption("photo.jpg", { lang: "${first}" });
console.log(result.captions[0].text);
await captioner.close();
\`\`\`

${record ? training(record) : "## Training\n\nNothing is recorded of how this model was trained.\n"}
## Limits

Captions are guesses. They name what is not there, miscount, mistake one thing for another, and repeat what the data
take for granted of people, their sex, age and origin; they are worse in languages and on pictures that the data hold
few of. Have alternative text read over by a person before it is published, and do not use captions to identify or to
judge people.
`;
}

function training({ recipe, steps, evaluations }: TrainingRecord): string {
  const last = evaluations.at(-1);
  return `## Training

By the recipe \`${recipe.name}\` of lingolens, whose values are all below:

\`\`\`json
${JSON.stringify(recipe, undefined, 2)}
\`\`\`
${curves(steps, evaluations)}${last ? scores(last) : ""}`;
}

/** Rows of the table of losses. */
const ROWS = 12;

function curves(steps: TrainingRecord["steps"], evaluations: TrainingRecord["evaluations"]): string {
  const evaluated = new Map(evaluations.map(({ step, loss }) => [step, loss]));
  const trained = new Map(steps.map(({ step, loss }) => [step, loss]));
  const marks = evaluated.size > 0 ? [...evaluated.keys()] : [...trained.keys()];
  if (marks.length === 0) return "";
  const every = Math.max(1, (marks.length - 1) / (ROWS - 1));
  const shown = new Set(
    Array.from({ length: Math.min(ROWS, marks.length) }, (_, i) => marks[Math.round(i * every)]!),
  );
  const rows = [...shown].map((step) => {
    const before = steps.filter((line) => line.step <= step).at(-1)?.loss;
    return [String(step), round(before), round(evaluated.get(step))];
  });
  return `
### Curves

Loss in nats a token.

${table(["step", "training", "evaluation"], rows)}
`;
}

function scores({ step, loss, languages, captions = {} }: TrainingRecord["evaluations"][number]): string {
  const rows = Object.entries(languages).map(([lang, nats]) => {
    const found = captions[lang];
    return [
      languageName(lang),
      round(nats),
      ...[found?.bleu[3], found?.chrf, found?.cider, found?.exactMatch].map(round),
    ];
  });
  const pictures = Math.max(0, ...Object.values(captions).map((one) => one.captions));
  return `
### Scores

On validation pictures after step ${step}; the loss over all languages is ${round(loss)}.${
    pictures > 0 ? ` Captions of ${pictures} of them, by a search of 4 beams.` : ""
  }

${table(["language", "loss", "BLEU-4", "chrF", "CIDEr-D", "right word for word"], rows)}
`;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

const round = (value: number | undefined | null): string =>
  typeof value === "number" ? String(Number(value.toPrecision(3))) : "";

const millions = (count: number): string =>
  count >= 1e9 ? `${(count / 1e9).toFixed(2)} billion` : `${(count / 1e6).toFixed(1)} million`;
