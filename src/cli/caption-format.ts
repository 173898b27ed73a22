import type { CaptionResult } from "../captioner/captioner.js";

export type CaptionFormat = "text" | "jsonl" | "csv";

/** Writes results one by one: text for people, JSON lines as contracted, or CSV with a header (RFC 4180). */
export function captionWriter(
  format: CaptionFormat,
  out: NodeJS.WritableStream,
): (result: CaptionResult) => void {
  if (format === "jsonl") return (result) => out.write(`${JSON.stringify(result)}\n`);
  if (format === "csv") {
    out.write("image,lang,rank,text,score,error\r\n");
    return (result) => {
      const rows =
        "error" in result
          ? [[result.image, "", "", "", "", result.error.code]]
          : result.captions.map(({ text, score }, i) => [result.image, result.lang, i + 1, text, score, ""]);
      for (const row of rows) out.write(`${row.map(csvField).join(",")}\r\n`);
    };
  }
  let current: string | undefined;
  return (result) => {
    if ("error" in result) return; // Named on stderr, where people look for it.
    if (result.image !== current) out.write(`${current === undefined ? "" : "\n"}${result.image}\n`);
    current = result.image;
    for (const { text } of result.captions) out.write(`  ${result.lang.slice(0, 2)}  ${text}\n`);
  };
}

function csvField(value: string | number): string {
  const text = String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
