/** A dataset as a page of one file: its table, what was lost, how long captions are, and pictures to look at. */
import sharp from "sharp";
import { barChart, plot } from "../../report/chart.js";
import { type Html, html } from "../../report/html.js";
import { reportPage } from "../../report/page.js";
import { type DatasetEntry, pictureOf } from "../dataset.js";
import type { Inspection, SplitCounts } from "./inspect.js";

/** Pixels of a thumbnail's longer side. */
const THUMBNAIL = 240;
/** A thumbnail is made of no more than this many pixels. */
const MOST_PIXELS = 89_478_485;

/** The whole document. */
export async function inspectionPage(title: string, inspection: Inspection): Promise<string> {
  const cards: Html[] = [];
  for (const entry of inspection.samples) cards.push(card(entry, await thumbnail(entry)));
  const { splits, download, problems } = inspection;
  const body = html`${problems.length > 0 && problemList(problems)}
${table(splits)}
<h2>Charts</h2>
<div class="charts">
${[...splits].map(([name, counts]) => lengthChart(name, counts))}
${
  download &&
  Object.keys(download.failed).length > 0 &&
  barChart({
    title: "Pictures that could not be had",
    note: `${share(download.rows - download.succeeded, download.rows)} of ${whole(download.rows)} rows`,
    bars: Object.entries(download.failed)
      .sort(([, a], [, b]) => b - a)
      .slice(0, 20)
      .map(([label, value]) => ({ label, value })),
    format: whole,
  })
}
${[...splits].map(([name, counts]) => verdictCharts(name, counts))}
</div>
${
  cards.length > 0 &&
  html`<h2 id="pictures">Pictures</h2>
<p class="note">${cards.length} of them, chosen as if by lot; the same every time.</p>
<p class="filter" hidden><label>Captions in <select>
<option value="">all languages</option>
${languagesOf(inspection).map((lang) => html`<option>${lang}</option>`)}
</select></label></p>
<ul class="wall">
${cards}</ul>`
}`;
  return reportPage({ title, body, styles: STYLES, script: SCRIPT });
}

function problemList(problems: readonly string[]): Html {
  return html`<h2>Not read to its end</h2>
<ul>${problems.map((text) => html`<li>${text}</li>`)}</ul>`;
}

function table(splits: Inspection["splits"]): Html {
  const langs = languagesIn(splits);
  return html`<div class="table" role="region" aria-label="Pictures and captions" tabindex="0"><table>
<caption>Pictures and captions</caption>
<thead><tr><th scope="col">Split</th><th scope="col">Pictures</th><th scope="col">Captions</th>
${langs.map((lang) => html`<th scope="col">${lang}</th>`)}<th scope="col">Size</th><th scope="col">Missing files</th></tr></thead>
<tbody>${[...splits].map(
    ([name, counts]) => html`<tr><th scope="row">${name}</th><td>${whole(counts.pictures)}</td>
<td>${whole(counts.captions)}</td>${langs.map(
      (lang) => html`<td>${whole(counts.languages.get(lang)?.captions ?? 0)}</td>`,
    )}<td>${megabytes(counts.bytes)}</td><td>${whole(counts.missing)}</td></tr>
`,
  )}</tbody></table></div>
`;
}

function lengthChart(split: string, { languages }: SplitCounts): Html | undefined {
  if (languages.size === 0) return undefined;
  const most = Math.max(...[...languages.values()].map(({ words }) => words.distribution!.p95)) * 1.5;
  const medians = [...languages].map(([lang, { words }]) => `${lang} ${words.distribution!.median}`);
  return plot({
    title: `Words in a caption, ${split}`,
    note: `Median: ${medians.join(", ")}`,
    description: `Share of captions by their number of words, ${split}. Median: ${medians.join(", ")}.`,
    xLabel: "words",
    yLabel: "share of captions",
    x: [0, 1],
    y: [0, 0.01],
    series: [...languages].map(([name, { words, captions }]) => ({
      name,
      points: words.from(1, most).map(([n, count]) => [n, count / captions] as const),
      as: "line" as const,
    })),
    formatY: (value) => `${Number((100 * value).toFixed(1))} %`,
  });
}

function verdictCharts(split: string, { translations }: SplitCounts): Html[] {
  return [...translations].flatMap(([lang, verdicts]) => {
    const total = [...verdicts.values()].reduce((a, b) => a + b, 0);
    const bars = [...verdicts].filter(([verdict]) => verdict !== "ok");
    if (bars.length === 0) return [];
    return barChart({
      title: `Translations into ${lang} rejected, ${split}`,
      note: `${share(total - (verdicts.get("ok") ?? 0), total)} of ${whole(total)}`,
      bars: bars.sort(([, a], [, b]) => b - a).map(([label, value]) => ({ label, value })),
      format: whole,
    });
  });
}

interface Thumbnail {
  readonly uri: string;
  readonly width: number;
  readonly height: number;
}

/** Undefined where the picture cannot be read: `data check` says why. */
async function thumbnail(entry: DatasetEntry): Promise<Thumbnail | undefined> {
  try {
    const { data, info } = await sharp(await pictureOf(entry), { limitInputPixels: MOST_PIXELS })
      .rotate()
      .resize(THUMBNAIL, THUMBNAIL, { fit: "inside", withoutEnlargement: true })
      .flatten({ background: "white" })
      .jpeg({ quality: 72 })
      .toBuffer({ resolveWithObject: true });
    const uri = `data:image/jpeg;base64,${data.toString("base64")}`;
    return { uri, width: info.width, height: info.height };
  } catch {
    return undefined;
  }
}

function card({ image, captions }: DatasetEntry, picture: Thumbnail | undefined): Html {
  const shown = picture
    ? html`<img src="${picture.uri}" width="${picture.width}" height="${picture.height}" alt="" loading="lazy">`
    : html`<p class="unreadable">The picture cannot be read.</p>`;
  const texts = Object.entries(captions).flatMap(([lang, all]) => all.map((text) => [lang, text] as const));
  return html`<li class="card">${shown}
<p class="name">${image}</p>
<dl>${texts.map(
    ([lang, text]) =>
      html`<div data-lang="${lang}"><dt>${lang}</dt><dd lang="${lang.slice(0, 2)}" dir="auto">${text}</dd></div>
`,
  )}</dl></li>
`;
}

/** As captions name them, since that is what the filter compares. */
function languagesOf({ samples }: Inspection): string[] {
  return [...new Set(samples.flatMap(({ captions }) => Object.keys(captions)))];
}

export function languagesIn(splits: Inspection["splits"]): string[] {
  return [...new Set([...splits.values()].flatMap(({ languages }) => [...languages.keys()]))];
}

function whole(value: number): string {
  return value.toLocaleString("en");
}

function share(count: number, of: number): string {
  return `${((100 * count) / Math.max(1, of)).toFixed(1)} %`;
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toLocaleString("en", { maximumFractionDigits: 1 })} MB`;
}

const STYLES = `
.wall { list-style: none; margin: 0; padding: 0; display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 15rem), 1fr)); gap: 1rem; align-items: start; }
.card { padding: 0.75rem; border: 1px solid var(--line); border-radius: 10px; background: var(--card); min-width: 0; }
.card img { display: block; width: 100%; height: auto; max-height: 15rem; object-fit: contain; background: var(--sunk); border-radius: 6px; }
.card .name { color: var(--muted); font-size: 0.75rem; margin: 0.5rem 0 0.25rem; }
.card dl { margin: 0; font-size: 0.9375rem; }
.card dl div { display: flex; gap: 0.5rem; }
.card dt { color: var(--muted); font-size: 0.8125rem; flex: 0 0 2.25rem; padding-top: 0.1rem; }
.card dd { margin: 0; min-width: 0; }
.card [hidden] { display: none; }
.unreadable { padding: 2rem 0.5rem; background: var(--sunk); border-radius: 6px; color: var(--muted); text-align: center; }
.filter select { font: inherit; color: inherit; background: var(--card); border: 1px solid var(--edge); border-radius: 6px; padding: 0.4rem 0.6rem; min-height: 2.75rem; }
`;

/** Shows the captions of one language alone. */
const SCRIPT = `
const filter = document.querySelector(".filter");
if (filter) {
  filter.hidden = false;
  const select = filter.querySelector("select");
  select.addEventListener("change", () => {
    for (const row of document.querySelectorAll("[data-lang]"))
      row.hidden = select.value !== "" && row.dataset.lang !== select.value;
  });
}
`;
