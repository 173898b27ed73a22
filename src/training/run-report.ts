/** The report of a run, from what it wrote of itself. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { duration } from "../duration.js";
import type { CaptionScores } from "../evaluation/caption-scores.js";
import { encodePng } from "../image/encode-png.js";
import type { RgbImage } from "../image/pixels.js";
import { plot, type Series } from "../report/chart.js";
import { type Html, html } from "../report/html.js";
import { languageName } from "../report/language-name.js";
import { reportPage } from "../report/page.js";
import { writeFileAtomically } from "../weights/atomic-file.js";
import type { CaptionSample } from "./evaluate-captions.js";
import type { Evaluation } from "./evaluator.js";
import type { Recipe } from "./recipe.js";
import type { StepLog } from "./run-log.js";

type StepLine = StepLog & { readonly step: number };
type LoggedEvaluation = Evaluation & { readonly step: number };

/**
 * Writes `report.html` into the run folder.
 * @param pictures of the evaluations' samples
 */
export async function writeRunReport(
  out: string,
  recipe: Recipe,
  pictures: readonly RgbImage[],
): Promise<void> {
  const lines = (await readFile(join(out, "metrics.jsonl"), "utf8"))
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line));
  const steps: StepLine[] = lines.filter((line) => "loss" in line);
  const evaluations: LoggedEvaluation[] = lines.flatMap(({ step, evaluation }) =>
    evaluation ? [{ step, ...evaluation }] : [],
  );
  const thumbnails = await Promise.all(pictures.map(dataUri));
  const page = reportPage({
    title: `Training run: ${recipe.name}`,
    body: html`${facts(recipe, steps)}
${curves(steps, evaluations)}
${evaluations.length > 0 && lastEvaluation(evaluations.at(-1)!, thumbnails)}
<h2>Recipe</h2>
<details><summary>All values</summary><pre>${JSON.stringify(recipe, null, 2)}</pre></details>`,
    styles: STYLES,
  });
  await writeFileAtomically(join(out, "report.html"), (file) => file.writeFile(page));
}

function facts(recipe: Recipe, steps: readonly StepLine[]): Html {
  const seconds = steps.reduce((sum, { picturesPerSecond, step }, i) => {
    return sum + ((step - (steps[i - 1]?.step ?? 0)) * recipe.batchSize) / picturesPerSecond;
  }, 0);
  const rows = {
    Steps: recipe.steps,
    "Pictures a step": recipe.batchSize,
    Languages: recipe.languages.map(languageName).join(", "),
    "Time of the steps": duration(seconds),
    "Steps skipped": steps.reduce((sum, { skipped = 0 }) => sum + skipped, 0),
  };
  return html`<dl class="facts">${Object.entries(rows).map(
    ([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`,
  )}</dl>`;
}

function curves(steps: readonly StepLine[], evaluations: readonly LoggedEvaluation[]): Html {
  const train = (key: "lr" | "gradientNorm" | "tokensPerSecond"): Series[] => [
    { name: key, as: "line", points: finite(steps.map((line) => [line.step, line[key]])) },
  ];
  const scores = (of: (scores: CaptionScores) => number): Series[] =>
    byLanguage(evaluations, ({ captions = {} }, lang) => captions[lang] && of(captions[lang]));
  const charts: readonly (readonly [title: string, unit: string, series: readonly Series[]])[] = [
    [
      "Loss",
      "nats a token",
      [
        { name: "training", as: "line", points: finite(steps.map(({ step, loss }) => [step, loss])) },
        { name: "evaluation", as: "line", points: finite(evaluations.map(({ step, loss }) => [step, loss])) },
      ],
    ],
    ["Loss in evaluation", "nats a token", byLanguage(evaluations, ({ languages }, lang) => languages[lang])],
    ["CIDEr-D", "0 to 10", scores(({ cider }) => cider)],
    ["BLEU-4", "fraction", scores(({ bleu }) => bleu[3])],
    ["Captions that are right word for word", "fraction", scores(({ exactMatch }) => exactMatch)],
    ["Learning rate", "", train("lr")],
    ["Norm of the gradient", "", train("gradientNorm")],
    ["Speed", "tokens/s", train("tokensPerSecond")],
  ];
  return html`<h2>Curves</h2><div class="charts">${charts.map(([title, yLabel, all]) => {
    const series = all.filter(({ points }) => points.length > 0);
    if (series.length === 0) return undefined;
    const ends = series.map(({ name, points }) => {
      const [first, last] = [points[0]![1], points.at(-1)![1]];
      return `${name} from ${round(first)} to ${round(last)}`;
    });
    return plot({ title, description: `${title}: ${ends.join("; ")}.`, xLabel: "step", yLabel, series });
  })}</div>`;
}

/** A series a language. */
function byLanguage(
  evaluations: readonly LoggedEvaluation[],
  of: (evaluation: LoggedEvaluation, lang: string) => number | undefined,
): Series[] {
  const languages = new Set(
    evaluations.flatMap(({ languages, captions = {} }) => [
      ...Object.keys(languages),
      ...Object.keys(captions),
    ]),
  );
  return [...languages].map((lang) => ({
    name: languageName(lang),
    as: "line",
    points: finite(
      evaluations.flatMap((evaluation) => {
        const value = of(evaluation, lang);
        return value === undefined ? [] : [[evaluation.step, value] as const];
      }),
    ),
  }));
}

function lastEvaluation(
  { step, loss, languages, captions = {}, samples = [] }: LoggedEvaluation,
  thumbnails: readonly string[],
): Html {
  const row = (lang: string) => {
    const scores = captions[lang];
    return html`<tr><th scope="row">${languageName(lang)}</th><td>${round(languages[lang])}</td>
<td>${scores && round(scores.bleu[3])}</td><td>${scores && round(scores.chrf)}</td>
<td>${scores && round(scores.cider)}</td><td>${scores && round(scores.exactMatch)}</td></tr>`;
  };
  return html`<h2>After step ${step}</h2>
<div class="table" tabindex="0" role="region" aria-label="Scores by language"><table>
<caption>Validation loss ${round(loss)}; captions by a search of 4 beams</caption>
<thead><tr><th scope="col">Language</th><th scope="col">Loss</th><th scope="col">BLEU-4</th><th scope="col">chrF</th>
<th scope="col">CIDEr-D</th><th scope="col">Right word for word</th></tr></thead>
<tbody>${Object.keys(languages).map(row)}</tbody></table></div>
${samples.length > 0 && html`<h2>Sample captions</h2><div class="samples">${samples.map((sample, i) => card(sample, i, thumbnails[i]))}</div>`}`;
}

function card(sample: CaptionSample, i: number, thumbnail: string | undefined): Html {
  return html`<article>${thumbnail && html`<img src="${thumbnail}" alt="Sample picture ${i + 1}">`}
<dl>${Object.entries(sample).map(
    ([lang, { caption, reference }]) => html`<dt>${languageName(lang)}</dt>
<dd lang="${lang}">${caption || "(nothing)"}${reference && html`<small lang="${lang}">${reference}</small>`}</dd>`,
  )}</dl></article>`;
}

const STYLES = `
pre { overflow-x: auto; padding: 0.75rem; border-radius: 10px; background: var(--sunk); font-size: 0.8125rem; }
.samples { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 18rem), 1fr)); gap: 1rem; }
article { border: 1px solid var(--line); border-radius: 10px; background: var(--card); overflow: hidden; }
article img { display: block; width: 100%; image-rendering: auto; }
article dl { margin: 0; padding: 0.5rem 0.9rem 0.9rem; }
article dt { margin-top: 0.5rem; color: var(--muted); font-size: 0.8125rem; }
article dd { margin: 0; }
article small { display: block; color: var(--muted); }
article small::before { content: "≙ "; }
`;

const finite = (points: readonly (readonly [number, number | null])[]): [number, number][] =>
  points.flatMap(([x, y]) => (y !== null && Number.isFinite(y) ? [[x, y]] : []));

const round = (value: number | undefined): string =>
  value === undefined ? "" : String(Number(value.toPrecision(3)));

async function dataUri(image: RgbImage): Promise<string> {
  return `data:image/png;base64,${(await encodePng(image)).toString("base64")}`;
}
