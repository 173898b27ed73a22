import { Presets, SingleBar } from "cli-progress";

/** A progress bar on stderr where that is a terminal, else nothing. */
export function progressBar(format: string): SingleBar | undefined {
  if (!process.stderr.isTTY) return undefined;
  return new SingleBar(
    { format, stream: process.stderr, hideCursor: true, etaBuffer: 50 },
    Presets.shades_classic,
  );
}

/** A bar in megabytes, which begins with the first progress it is told of. */
export function downloadBar(): {
  update(progress: { readonly done: number; readonly total: number }): void;
  stop(): void;
} {
  const bar = progressBar("{bar} {value}/{total} MB, {eta_formatted} left");
  const megabytes = (bytes: number): number => Math.round(bytes / 1e6);
  return {
    update({ done, total }) {
      if (!bar?.isActive) bar?.start(megabytes(total), megabytes(done));
      bar?.setTotal(megabytes(total));
      bar?.update(megabytes(done));
    },
    stop: () => bar?.stop(),
  };
}
