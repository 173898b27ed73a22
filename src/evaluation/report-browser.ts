/** The part of a report that is browsed: cards of pictures, and the script that filters and sorts them. */
import { type Html, html } from "../report/html.js";
import type { JudgedCaption } from "./judged-captions.js";
import { languageName, percent } from "./report-tables.js";

export interface SampleCard {
  readonly image: string;
  /** A data URL; absent where the picture can no longer be read. */
  readonly thumbnail: string | undefined;
  readonly captions: readonly JudgedCaption[];
}

export function sampleBrowser(cards: readonly SampleCard[], total: number): Html {
  const codes = [...new Set(cards.flatMap(({ captions }) => captions.map(({ lang }) => lang)))];
  return html`<h2 id="captions">Captions</h2>
<p class="note">${cards.length} of ${total} pictures: the worst and the best of each language by chrF, others at equal
distances.</p>
<form class="filters" hidden>
<label>Language <select name="lang"><option value="">all</option>${codes.map(
    (code) => html`<option value="${code}">${languageName(code)}</option>`,
  )}</select></label>
<label>Order <select name="order">
<option value="worst">worst first</option>
<option value="best">best first</option>
<option value="wrong">surest of what is wrong</option>
<option value="unsure">least sure first</option>
<option value="data">as in the data</option>
</select></label>
<label>Text <input type="search" name="text" placeholder="in captions and references" autocomplete="off"></label>
<p role="status"></p>
</form>
<div class="sample">
${cards.map(card)}</div>
<button class="more" type="button" hidden></button>
`;
}

function card({ image, thumbnail, captions }: SampleCard): Html {
  return html`<article aria-label="${image}" tabindex="-1">
${
  thumbnail
    ? html`<img src="${thumbnail}" alt="">`
    : html`<p class="missing note">The picture can no longer be read.</p>`
}
<div><h3>${image}</h3>
<ul>${captions.map(caption)}</ul></div>
</article>
`;
}

function caption({ lang, caption: said, references, chrf, confidence }: JudgedCaption): Html {
  const isExact = references.includes(said);
  const others = references.filter((reference) => reference !== said);
  return html`<li data-lang="${lang}" data-chrf="${chrf.toFixed(2)}" data-confidence="${confidence.toFixed(4)}">
<p class="said"><span class="tag">${languageName(lang)}</span> ${
    said.trim() === "" ? html`<em>nothing</em>` : html`<span lang="${lang}" dir="auto">${said}</span>`
  }</p>
${others.map(
  (
    reference,
  ) => html`<p class="reference"><span class="tag">reference</span> <span lang="${lang}" dir="auto">${reference}</span></p>
`,
)}<p class="figures note">${isExact && html`<strong>exact</strong> · `}chrF ${chrf.toFixed(0)} · ${percent(confidence)} sure</p></li>
`;
}

/** Works on what `sampleBrowser` made; without it, all cards are there in the data's order. */
export const BROWSER_SCRIPT = `
const form = document.querySelector(".filters");
const sample = document.querySelector(".sample");
const cards = [...sample.children].map((element, place) => ({
  element,
  place,
  name: element.querySelector("h3").textContent.toLocaleLowerCase(),
  captions: [...element.querySelectorAll("li")].map((item) => ({
    item,
    lang: item.dataset.lang,
    chrf: Number(item.dataset.chrf),
    confidence: Number(item.dataset.confidence),
    text: [...item.querySelectorAll("[lang]")].map((part) => part.textContent).join("\\n").toLocaleLowerCase(),
  })),
}));
const orders = {
  worst: (caption) => caption.chrf,
  best: (caption) => -caption.chrf,
  wrong: (caption) => caption.chrf / 100 - caption.confidence,
  unsure: (caption) => caption.confidence,
};
const STEP = 24;
const more = document.querySelector(".more");
let room = STEP;
function show() {
  const { lang, order, text } = Object.fromEntries(new FormData(form));
  const words = text.trim().toLocaleLowerCase();
  for (const card of cards) {
    const fitting = card.captions.filter((caption) =>
      (!lang || caption.lang === lang) && (card.name.includes(words) || caption.text.includes(words)));
    for (const caption of card.captions) caption.item.hidden = !fitting.includes(caption);
    card.fits = fitting.length > 0;
    // A picture is as bad as its worst caption that is shown, as good as its best.
    card.rank = order in orders ? Math.min(...fitting.map(orders[order])) : card.place;
  }
  const sorted = cards.filter((card) => card.fits).sort((a, b) => a.rank - b.rank || a.place - b.place);
  for (const card of cards) card.element.hidden = true;
  for (const card of sorted.slice(0, room)) card.element.hidden = false;
  sample.append(...sorted.map((card) => card.element));
  form.querySelector("[role=status]").textContent = sorted.length + " of " + cards.length + " pictures";
  more.hidden = sorted.length <= room;
  more.textContent = "Show " + Math.min(STEP, sorted.length - room) + " more";
  return sorted;
}
more.addEventListener("click", () => {
  const next = room;
  room += STEP;
  show()[next].element.focus();
});
form.addEventListener("input", () => {
  room = STEP;
  show();
});
form.addEventListener("submit", (event) => event.preventDefault());
form.hidden = false;
show();
`;

export const BROWSER_STYLES = `
[hidden] { display: none !important; }
.filters { display: flex; flex-wrap: wrap; gap: 0.75rem 1.25rem; align-items: end; margin: 0 0 1rem; }
.filters label { display: grid; gap: 0.2rem; font-size: 0.8125rem; color: var(--muted); }
.filters select, .filters input { font: inherit; font-size: 1rem; min-height: 2.75rem; padding: 0.3rem 0.6rem; border: 1px solid var(--edge); border-radius: 8px; background: var(--card); color: var(--ink); }
.filters label:has(input) { flex: 1 1 12rem; }
.filters p { margin: 0 0 0.6rem; color: var(--muted); font-variant-numeric: tabular-nums; }
.more { display: block; width: 100%; min-height: 2.75rem; margin-top: 1rem; font: inherit; border: 1px solid var(--edge); border-radius: 8px; background: var(--card); color: var(--ink); cursor: pointer; }
.sample { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 28rem), 1fr)); gap: 1rem; align-items: start; }
.sample article { display: grid; grid-template-columns: clamp(4.5rem, 28%, 9rem) minmax(0, 1fr); gap: 0.9rem; padding: 0.9rem; border: 1px solid var(--line); border-radius: 10px; background: var(--card); }
.sample img, .sample .missing { width: 100%; border-radius: 6px; background: var(--sunk); }
.sample .missing { padding: 1rem 0.5rem; }
.sample h3 { font-size: 0.8125rem; font-weight: 400; color: var(--muted); }
.sample ul { list-style: none; margin: 0; padding: 0; }
.sample li:not([hidden]) ~ li { margin-top: 0.6rem; padding-top: 0.6rem; border-top: 1px solid var(--line); }
.sample li p { margin: 0; }
.sample .said { font-weight: 600; }
.sample .reference { color: var(--muted); }
.sample .tag { font-size: 0.75rem; font-weight: 400; color: var(--muted); margin-inline-end: 0.3em; }
.sample .figures { font-size: 0.8125rem; font-variant-numeric: tabular-nums; }
.sample strong { color: var(--accent); }
`;
