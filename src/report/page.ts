/** A report as one file: no resource from outside, and a browser is told to fetch none and run nothing else. */
import { createHash } from "node:crypto";
import { Html, html } from "./html.js";
import { STYLES } from "./styles.js";

export interface ReportPage {
  readonly title: string;
  /** What stands in `<main>`, below the title. */
  readonly body: Html;
  /** JavaScript of ours. The page must be whole without it. */
  readonly script?: string;
  /** CSS besides that of all reports. */
  readonly styles?: string;
}

/** The whole document. Inline `style` attributes have no effect in it: use classes, and attributes of SVG. */
export function reportPage({ title, body, script = "", styles = "" }: ReportPage): string {
  const css = STYLES + styles;
  const policy = [
    "default-src 'none'",
    "img-src data:",
    `style-src '${digest(css)}'`,
    ...(script ? [`script-src '${digest(script)}'`] : []),
    "base-uri 'none'",
    "form-action 'none'",
  ].join("; ");
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title}</title>
<style>${new Html(css)}</style>
</head>
<body>
<main>
<h1>${title}</h1>
${body}
</main>
${script !== "" && html`<script>${new Html(script)}</script>`}
</body>
</html>
`;
  return page.markup;
}

function digest(text: string): string {
  return `sha256-${createHash("sha256").update(text).digest("base64")}`;
}
