import { LingolensError } from "../../errors.js";

/** The error of data that is not what it should be. `place` names the file, and the line where there is one. */
export function invalid(place: string, expected: string, got: string, cause?: unknown): LingolensError {
  const message = `${place}: expected ${expected}, got ${got}. Correct or remove it.`;
  return new LingolensError("dataset-invalid", message, { cause });
}

/** What a JSON value is, for the end of an error's message. */
export function kindOf(value: unknown): string {
  if (value === undefined) return "nothing";
  if (value === null || value === "") return JSON.stringify(value);
  return Array.isArray(value) ? "a list" : `a value of type ${typeof value}`;
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
