import type { CaptionsByLanguage } from "../captioning/caption.js";

/** A picture with its captions, as it is written out. */
export interface Described {
  readonly image: string;
  readonly captions: CaptionsByLanguage;
}

export type Format = "text" | "html" | "json" | "csv";

/** All captions in a format, made of the best of each language but for JSON and CSV, which have all. */
export function formatAll(all: readonly Described[], format: Format): string {
  return WRITERS[format](all);
}

const WRITERS: Readonly<Record<Format, (all: readonly Described[]) => string>> = { text, html, json, csv };

function text(all: readonly Described[]): string {
  return all
    .map(({ image, captions }) => [image, ...best(captions).map(([lang, text]) => `  ${iso(lang)}  ${text}`)])
    .map((lines) => `${lines.join("\n")}\n`)
    .join("\n");
}

/** An `img` per picture and language. */
function html(all: readonly Described[]): string {
  return all
    .flatMap(({ image, captions }) =>
      best(captions).map(
        ([lang, text]) => `<img src="${escapeAttribute(image)}" lang="${iso(lang)}" ${altAttribute(text)}>`,
      ),
    )
    .join("\n");
}

/** `alt="…"`, as it goes into HTML. */
export function altAttribute(text: string): string {
  return `alt="${escapeAttribute(text)}"`;
}

/** The results of the API and the command line, without what each word looked at. */
function json(all: readonly Described[]): string {
  const results = all.flatMap(({ image, captions }) =>
    Object.entries(captions).map(([lang, list]) => ({
      image,
      lang,
      captions: list.map(({ text, score, tokens }) => ({ text, score, tokens })),
    })),
  );
  return JSON.stringify({ results }, null, 2);
}

/** The columns of `lingolens caption --format csv`, RFC 4180. */
function csv(all: readonly Described[]): string {
  const rows = all.flatMap(({ image, captions }) =>
    Object.entries(captions).flatMap(([lang, list]) =>
      list.map(({ text, score }, i) => [image, lang, i + 1, text, score, ""]),
    ),
  );
  return [["image", "lang", "rank", "text", "score", "error"], ...rows]
    .map((row) => `${row.map(csvField).join(",")}\r\n`)
    .join("");
}

function best(captions: CaptionsByLanguage): [string, string][] {
  return Object.entries(captions).flatMap(([lang, [first]]) => (first ? [[lang, first.text]] : []));
}

function iso(lang: string): string {
  return lang.slice(0, 2);
}

function escapeAttribute(value: string): string {
  return value.replaceAll("&", "&amp;").replaceAll('"', "&quot;").replaceAll("<", "&lt;");
}

function csvField(value: string | number): string {
  const field = String(value);
  return /[",\r\n]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field;
}
