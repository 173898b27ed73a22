import { Presets, SingleBar } from "cli-progress";

/** A progress bar on stderr where that is a terminal, else nothing. */
export function progressBar(format: string): SingleBar | undefined {
  if (!process.stderr.isTTY) return undefined;
  return new SingleBar(
    { format, stream: process.stderr, hideCursor: true, etaBuffer: 50 },
    Presets.shades_classic,
  );
}
