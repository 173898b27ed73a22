/** An evaluation's report as one HTML file. */
import { html } from "../report/html.js";
import { reportPage } from "../report/page.js";
import type { PictureLines } from "./describe-pictures.js";
import type { EvaluatedPicture } from "./evaluated-pictures.js";
import { judgedCaptions } from "./judged-captions.js";
import { BROWSER_SCRIPT, BROWSER_STYLES, sampleBrowser } from "./report-browser.js";
import { confidenceCharts, lengthCharts, metricCharts } from "./report-charts.js";
import { chooseSample, thumbnail } from "./report-sample.js";
import { faultsTable, publishedTable, scoresTable } from "./report-tables.js";
import type { RunFailure } from "./run-files.js";
import type { EvaluationReport } from "./run-report.js";

export interface EvaluationPage {
  readonly report: EvaluationReport;
  /** By picture, as `lines`. */
  readonly pictures: readonly EvaluatedPicture[];
  readonly lines: readonly PictureLines[];
  /** What people call the model and the data. */
  readonly model: string;
  readonly data: string;
  /** Name and value of what else the run was asked for, such as the number of beams. */
  readonly facts: Readonly<Record<string, string | number>>;
  readonly ignoreExif: boolean;
  readonly signal?: AbortSignal | undefined;
}

const SECTIONS = [
  ["languages", "By language"],
  ["scores", "Scores"],
  ["length", "Length"],
  ["confidence", "Confidence"],
  ["captions", "Captions"],
] as const;

/** @throws {LingolensError} `cancelled` */
export async function evaluationPage(page: EvaluationPage): Promise<string> {
  const { report, pictures, lines, model, data, signal, ignoreExif } = page;
  const judged = judgedCaptions(lines);
  const captions = judged.flat();
  const cards = [];
  for (const place of chooseSample(judged))
    cards.push({
      image: pictures[place]!.image,
      thumbnail: await thumbnail(pictures[place]!, { ignoreExif, signal }),
      captions: judged[place]!,
    });
  const failures = lines.flat().filter((line): line is RunFailure => "error" in line);
  const facts = {
    pictures: lines.length - failures.length,
    loss: report.loss.toFixed(4),
    perplexity: Math.exp(report.loss).toFixed(2),
    ...page.facts,
  };
  const signatures = new Set(Object.values(report.languages).map(({ sacreBleu }) => sacreBleu.signature));
  const body = html`<p class="note">on ${data}</p>
<dl class="facts">${Object.entries(facts).map(
    ([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`,
  )}</dl>
${
  failures.length > 0 &&
  html`<details><summary>${failures.length} ${failures.length === 1 ? "picture" : "pictures"} could not be read</summary>
<ul>${failures.slice(0, 100).map(({ error }) => html`<li>${error.message}</li>`)}</ul></details>`
}
<nav aria-label="Sections"><ul>${SECTIONS.map(
    ([id, name]) => html`<li><a href="#${id}">${name}</a></li>`,
  )}</ul></nav>
<h2 id="languages">By language</h2>
${scoresTable(report)}
<p class="note">${[...signatures].map((signature) => html`sacreBLEU <code>${signature}</code> `)}</p>
${faultsTable(report)}
${publishedTable(report)}
<h2 id="scores">Scores</h2>
<div class="charts">${metricCharts(report)}</div>
<h2 id="length">Length</h2>
<div class="charts">${lengthCharts(captions)}</div>
<h2 id="confidence">Does the model know when it is wrong?</h2>
<p class="note">Confidence is e to the search’s score, which needs no references: with a length penalty of 1 the
geometric mean of a caption’s token probabilities. Where dots rise to the right, captions of low confidence can be held
back.</p>
<div class="charts">${confidenceCharts(captions)}</div>
${sampleBrowser(cards, lines.length - failures.length)}
<p class="note">What each figure means, and what it is good for, is in lingolens’s docs/evaluation.md; what such models
get wrong is in docs/limitations.md.</p>
`;
  return reportPage({
    title: `Evaluation of ${model}`,
    body,
    script: BROWSER_SCRIPT,
    styles: BROWSER_STYLES,
  });
}
