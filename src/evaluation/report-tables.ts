/** The tables of an evaluation's report. */
import { type Html, type HtmlValue, html } from "../report/html.js";
import { resolveLanguage } from "../text/languages.js";
import type { EvaluationReport, LanguageReport } from "./run-report.js";

export function languageName(iso: string): string {
  return resolveLanguage(iso).name;
}

type Column = readonly [header: HtmlValue, cell: (report: LanguageReport) => HtmlValue];

const SCORES: readonly Column[] = [
  ["captions", ({ captions }) => captions],
  ["exact", ({ exactMatch }) => percent(exactMatch)],
  ["BLEU-4", ({ bleu }) => bleu[3].toFixed(4)],
  [
    "sacreBLEU",
    ({ sacreBleu: { score, interval } }) =>
      html`${score.toFixed(1)}<small>${interval[0].toFixed(1)} to ${interval[1].toFixed(1)}</small>`,
  ],
  ["chrF", ({ chrf }) => chrf.toFixed(1)],
  ["chrF++", ({ chrfPlusPlus }) => chrfPlusPlus.toFixed(1)],
  ["CIDEr", ({ cider }) => cider.toFixed(3)],
  ["ROUGE-L", ({ rougeL }) => rougeL.toFixed(3)],
  ["METEOR", ({ meteor }) => meteor.toFixed(3)],
  ["loss", ({ loss }) => loss.toFixed(4)],
  ["perplexity", ({ perplexity }) => perplexity.toFixed(2)],
];

const FAULTS: readonly Column[] = [
  [
    "right language",
    ({ languageFidelity }) => (languageFidelity === null ? "unknown" : percent(languageFidelity)),
  ],
  ["empty", ({ emptyRate }) => percent(emptyRate)],
  ["repeats itself", ({ repetitionRate }) => percent(repetitionRate)],
  [html`&lt;PERSON&gt;`, ({ personRate }) => percent(personRate)],
  ["distinct words", ({ distinct1 }) => distinct1.toFixed(3)],
  ["distinct pairs", ({ distinct2 }) => distinct2.toFixed(3)],
  ["words", ({ meanLength }) => meanLength.toFixed(1)],
];

export function scoresTable({ languages }: EvaluationReport): Html {
  return table("How close captions come to what people wrote", languages, SCORES);
}

export function faultsTable({ languages }: EvaluationReport): Html {
  return table("What is wrong with captions, references aside", languages, FAULTS);
}

/** Ours beside the model card's, where the report has those. */
export function publishedTable({ languages, loss, published }: EvaluationReport): HtmlValue {
  if (!published) return undefined;
  const compared = Object.fromEntries(Object.entries(languages).filter(([, report]) => report.published));
  const columns = [0, 1, 2, 3].map((order): Column => {
    const cell = ({ bleuChunks, published }: LanguageReport) =>
      html`${bleuChunks[order]!.toFixed(5)}<small>published ${published!.bleu[order]!.toFixed(5)}</small>`;
    return [`BLEU-${order + 1}`, cell];
  });
  return html`<h2>Beside the model card</h2>
${table("Mean over chunks of 512 captions, 0 to 1; below it the published value", compared, columns)}
<p class="note">Loss over all languages: ${loss.toFixed(4)}; published about ${published.loss}. The published values are
those of checkpoint 51,999 on the original’s validation set; values on other data do not compare with them.</p>
`;
}

function table(
  caption: string,
  languages: Readonly<Record<string, LanguageReport>>,
  columns: readonly Column[],
): Html {
  return html`<div class="table" role="region" aria-label="${caption}" tabindex="0"><table>
<caption>${caption}</caption>
<thead><tr><th scope="col">Language</th>${columns.map(([header]) => html`<th scope="col">${header}</th>`)}</tr></thead>
<tbody>${Object.entries(languages).map(
    ([lang, report]) => html`<tr><th scope="row">${languageName(lang)}</th>${columns.map(
      ([, cell]) => html`<td>${cell(report)}</td>`,
    )}</tr>
`,
  )}</tbody></table></div>
`;
}

export function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}
