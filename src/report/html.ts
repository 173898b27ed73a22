/** HTML and SVG as template literals: whatever is put into one is escaped, so that text cannot become markup. */

/** Markup that is safe to put into a page as it is. */
export class Html {
  constructor(readonly markup: string) {}

  toString(): string {
    return this.markup;
  }
}

/** What may stand in a template: text and numbers are escaped, lists joined, and what is not there is left out. */
export type HtmlValue = Html | string | number | false | null | undefined | readonly HtmlValue[];

/**
 * html`<p title="${text}">${text}</p>`. Values belong between tags or within quoted attributes; nowhere else does
 * escaping make them safe.
 */
export function html(strings: TemplateStringsArray, ...values: readonly HtmlValue[]): Html {
  return new Html(strings.reduce((text, string, i) => text + markupOf(values[i - 1]) + string));
}

const ESCAPES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

function markupOf(value: HtmlValue): string {
  if (value instanceof Html) return value.markup;
  if (Array.isArray(value)) return value.map(markupOf).join("");
  if (value === undefined || value === null || value === false) return "";
  return String(value).replace(/[&<>"']/g, (character) => ESCAPES[character]!);
}
