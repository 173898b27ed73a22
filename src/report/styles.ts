/** The style sheet of all reports: light and dark, from the width of a phone on. Colours are those of the web page. */
export const STYLES = `
:root {
  color-scheme: light dark;
  --paper: light-dark(#faf9f6, #141619);
  --card: light-dark(#ffffff, #1c1f23);
  --sunk: light-dark(#f1efe9, #23272c);
  --ink: light-dark(#1c2024, #eceae5);
  --muted: light-dark(#5b626b, #a4abb4);
  --line: light-dark(#e3dfd6, #33383f);
  --edge: light-dark(#8a8f96, #767d87);
  --accent: light-dark(#0b6b5d, #74d3be);
  --series-1: light-dark(#0b6b5d, #74d3be);
  --series-2: light-dark(#b4541a, #f0a46f);
  --series-3: light-dark(#3d5aa9, #9db4f2);
  --series-4: light-dark(#8a3a7e, #e29ad6);
  --series-5: light-dark(#6b6a14, #cfcd6a);
  --series-6: light-dark(#4b5563, #b6bdc7);
  font: 16px / 1.5 -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", "Helvetica Neue", Arial, sans-serif;
}
*, ::before, ::after { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); overflow-wrap: anywhere; -webkit-text-size-adjust: 100%; }
main { max-width: 76rem; margin: 0 auto; padding: 1.5rem clamp(1rem, 3vw, 2.5rem) 4rem; }
h1 { font-size: clamp(1.5rem, 4vw, 2.25rem); line-height: 1.15; letter-spacing: -0.015em; margin: 0 0 0.5rem; text-wrap: balance; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 0.75rem; }
h3 { font-size: 1rem; margin: 0; }
p { margin: 0 0 0.75rem; max-width: 48rem; text-wrap: pretty; }
a { color: var(--accent); }
code { font-size: 0.9em; }
.note { color: var(--muted); font-size: 0.875rem; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }

nav ul { display: flex; flex-wrap: wrap; gap: 0.25rem 1.25rem; list-style: none; margin: 0.75rem 0; padding: 0; }
nav a { display: inline-block; padding: 0.25rem 0; }

.facts { display: flex; flex-wrap: wrap; gap: 0.25rem 2rem; margin: 1rem 0; }
.facts div { display: flex; gap: 0.5rem; }
.facts dt { color: var(--muted); }
.facts dd { margin: 0; font-weight: 600; font-variant-numeric: tabular-nums; }

/* A table that is too wide scrolls within its frame, whose first column stays. */
.table { overflow-x: auto; border: 1px solid var(--line); border-radius: 10px; background: var(--card); }
table { border-collapse: collapse; width: 100%; font-size: 0.875rem; font-variant-numeric: tabular-nums; }
caption { text-align: start; padding: 0.75rem 0.75rem 0.25rem; color: var(--muted); }
th, td { padding: 0.5rem 0.75rem; text-align: end; white-space: nowrap; border-top: 1px solid var(--line); }
thead th { border-top: 0; color: var(--muted); font-weight: 600; vertical-align: bottom; }
th:first-child { text-align: start; position: sticky; left: 0; background: var(--card); }
.table + .note, .table + .table { margin-top: 0.75rem; }
td small, th small { display: block; color: var(--muted); font-weight: 400; }

.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 20rem), 1fr)); gap: 1rem; align-items: start; }
.chart { margin: 0; padding: 0.9rem 1rem; border: 1px solid var(--line); border-radius: 10px; background: var(--card); }
.chart figcaption { font-weight: 600; font-size: 0.9375rem; }
.chart figcaption small { display: block; color: var(--muted); font-weight: 400; font-size: 0.8125rem; }
.chart svg { display: block; width: 100%; height: auto; margin-top: 0.5rem; overflow: visible; }
.chart text { font-size: 12px; fill: var(--muted); }
.chart .value { fill: var(--ink); }
.chart .grid { stroke: var(--line); }
.chart .axis { stroke: var(--edge); }
.chart .whisker { stroke: var(--ink); stroke-width: 1.5; fill: none; }
.chart .mark { fill: var(--ink); stroke: var(--card); }
.chart .line, .chart .steps { fill: none; stroke: var(--of-series); stroke-width: 2; stroke-linejoin: round; }
.chart .bar { fill: var(--of-series); }
.chart .columns { fill: var(--of-series); opacity: 0.5; }
.chart .dots { fill: none; stroke: var(--of-series); stroke-width: 5; stroke-linecap: round; opacity: 0.5; }
.series-1 { --of-series: var(--series-1); }
.series-2 { --of-series: var(--series-2); }
.series-3 { --of-series: var(--series-3); }
.series-4 { --of-series: var(--series-4); }
.series-5 { --of-series: var(--series-5); }
.series-6 { --of-series: var(--series-6); }
.legend { display: flex; flex-wrap: wrap; gap: 0.1rem 1rem; list-style: none; margin: 0.25rem 0 0; padding: 0; font-size: 0.8125rem; color: var(--muted); }
.legend li::before { content: ""; display: inline-block; width: 0.7em; height: 0.7em; margin-inline-end: 0.4em; border-radius: 2px; background: var(--of-series); }

@media print { main { max-width: none; padding: 0; } .table { overflow: visible; } }
`;
