/** A line of the original's lists, as Python's csv writes it: only what has to stand in quotation marks does. */
export function tsvRow(fields: readonly string[]): string {
  const quoted = fields.map((field) =>
    /["\t\r\n]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field,
  );
  return `${quoted.join("\t")}\n`;
}
