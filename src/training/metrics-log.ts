import { appendFile, readFile } from "node:fs/promises";
import { writeFileAtomically } from "../weights/atomic-file.js";

/** A line of `metrics.jsonl`: a logged step, or an evaluation after a step. */
export type MetricsLine = { readonly step: number } & Readonly<Record<string, unknown>>;

/** Forgets what was logged after `step`, before the run goes on from there. */
export async function truncateMetrics(path: string, step: number): Promise<void> {
  const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return "";
    throw error;
  });
  // A line that a kill cut short does not parse; it belongs to what is forgotten.
  const kept = text.split("\n").filter((line) => {
    try {
      return JSON.parse(line).step <= step;
    } catch {
      return false;
    }
  });
  await writeFileAtomically(path, async (file) => {
    await file.writeFile(kept.map((line) => `${line}\n`).join(""));
  });
}

export async function logMetrics(path: string, line: MetricsLine): Promise<void> {
  await appendFile(path, `${JSON.stringify(line)}\n`);
}
