import { LingolensError } from "../../errors.js";

/** Where a list has its URLs and captions: a column's place in lists without names, and its name in others. */
export interface Columns {
  readonly url: Column;
  readonly caption: Column;
}

interface Column {
  readonly place: number;
  readonly name: string;
}

/**
 * Reads `url,caption`, `caption,url` or, for columns of other names, `url=URL,caption=TEXT`. Columns that are neither
 * may stand between them under any name.
 * @throws {LingolensError} `config-invalid`
 */
export function parseColumns(text: string): Columns {
  const found: Partial<Record<"url" | "caption", Column>> = {};
  for (const [place, part] of text.split(",").entries()) {
    const [role = "", name = role] = part.split("=").map((word) => word.trim());
    if (role !== "url" && role !== "caption") continue;
    if (found[role] || name === "") throw unfit(text);
    found[role] = { place, name };
  }
  const { url, caption } = found;
  if (!url || !caption) throw unfit(text);
  return { url, caption };
}

function unfit(text: string): LingolensError {
  return new LingolensError(
    "config-invalid",
    `--columns ${text.slice(0, 100)}: expected url and caption once each, such as url,caption for Conceptual 12M, ` +
      "caption,url for Conceptual Captions, or url=URL,caption=TEXT for columns of those names.",
  );
}
