import { mkdir, open } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { fileVersion, type Summary, startsAt, summaries } from "./events.js";

/** A file of events that TensorBoard shows while it grows. */
export interface EventLog {
  write(step: number, values: readonly Summary[]): Promise<void>;
  close(): Promise<void>;
}

/**
 * Opens a new file in the folder.
 * @param step the step that the run goes on from: what earlier files say of later ones is void
 */
export async function openEventLog(folder: string, step: number): Promise<EventLog> {
  await mkdir(folder, { recursive: true });
  const now = (): number => Date.now() / 1000;
  // TensorBoard reads the files of a folder in the order of their names, and forgets what is void only if it reads that
  // afterwards.
  const time = String(Math.floor(now())).padStart(10, "0");
  const name = `events.out.tfevents.${time}.${hostname()}.${process.pid}.${String(step).padStart(8, "0")}`;
  const file = await open(join(folder, name), "a");
  const append = (bytes: Uint8Array): Promise<void> => file.appendFile(bytes);
  try {
    await append(fileVersion(now()));
    if (step > 0) await append(startsAt(now(), step + 1));
  } catch (error) {
    await file.close();
    throw error;
  }
  return {
    write: (at, values) => append(summaries(now(), at, values)),
    close: () => file.close(),
  };
}
