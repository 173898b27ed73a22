import { InvalidArgumentError, Option } from "commander";
import type { Captioner } from "../captioner/captioner.js";
import { CAPTION_DTYPES, type CaptionDType, loadCaptioner } from "../captioner/load-captioner.js";
import type { Device } from "../engine/device/device-kind.js";
import { bundledModelFolder } from "../weights/bundled-model.js";
import { type ResolveOptions, resolveModel } from "../weights/hub/resolve-model.js";
import { downloadBar } from "./progress-bar.js";

/** Parsers of option values, for commander: what is not what the option takes is wrong use. */
export function integer(least: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^-?\d+$/.test(text) && Number.isSafeInteger(value) && value >= least) return value;
    throw new InvalidArgumentError(`Expected a whole number from ${least}.`);
  };
}

export function decimal(text: string): number {
  const value = Number(text);
  if (text.trim() !== "" && Number.isFinite(value)) return value;
  throw new InvalidArgumentError("Expected a number.");
}

export function list(text: string): string[] {
  return text
    .split(",")
    .map((part) => part.trim())
    .filter(Boolean);
}

/** An option that may be given several times. */
export function collect(text: string, before: string[] = []): string[] {
  return [...before, text];
}

export const modelOption = (): Option =>
  new Option(
    "--model <model>",
    "a folder, owner/name[@revision] of the Hugging Face hub, or original, the published photo model " +
      "(default: the bundled model)",
  );
export const offlineOption = (): Option =>
  new Option("--offline", "take models of the hub from the cache, without network");
export const threadsOption = (standard = "all processors"): Option =>
  new Option("--threads <n>", `threads (default: ${standard})`).argParser(integer(1));
export const decoderStartOption = (): Option =>
  new Option("--decoder-start <id>", "token that captions start from (default: the model's)").argParser(
    integer(0),
  );
export const deviceOption = (): Option =>
  new Option("--device <device>", "where to compute: the processors, or a GPU")
    .choices(["cpu", "webgpu", "cuda"])
    .default("cpu");
export const dtypeOption = (): Option =>
  new Option(
    "--dtype <type>",
    "numbers to compute with; int8 is faster, for a model in fp32 after rounding it once; bf16 is nearer to fp32, on " +
      "processors with AMX or AVX512-BF16 and with oneDNN (default: as stored)",
  ).choices(CAPTION_DTYPES);

/** Commander takes "--no-…" for the opposite of a switch unless told otherwise. */
export function noRepeatNgramSizeOption(): Option {
  const description = "no n-gram of so many tokens twice; 0 allows all (default: 0)";
  const option = new Option("--no-repeat-ngram-size <n>", description).argParser(integer(0));
  option.negate = false;
  return option;
}

/** The folder that --model names; a model of the hub is downloaded first, with a progress bar on a terminal. */
export async function modelFolder(
  model: string | undefined,
  options: Pick<ResolveOptions, "offline" | "signal" | "weights">,
): Promise<string> {
  if (model === undefined) return bundledModelFolder;
  const bar = downloadBar();
  try {
    return await resolveModel(model, { ...options, onProgress: bar.update });
  } finally {
    bar.stop();
  }
}

/** What the commands that load a captioner take; commander leaves out what is not given. */
export interface CaptionerFlags {
  readonly model: string | undefined;
  readonly offline: boolean | undefined;
  readonly threads: number | undefined;
  readonly callsAtOnce?: number | undefined;
  readonly decoderStart: number | undefined;
  readonly device: Device;
  readonly dtype?: CaptionDType | undefined;
}

/** The captioner of --model; downloading and converting it show a progress bar on a terminal. */
export async function openCaptioner(
  { model, offline, threads, callsAtOnce, decoderStart, device, dtype }: CaptionerFlags,
  signal: AbortSignal,
): Promise<Captioner> {
  const bar = downloadBar();
  try {
    return await loadCaptioner({
      offline,
      signal,
      onProgress: bar.update,
      device,
      ...(model !== undefined && { model }),
      ...(threads !== undefined && { threads }),
      ...(callsAtOnce !== undefined && { callsAtOnce }),
      ...(decoderStart !== undefined && { decoderStart }),
      ...(dtype !== undefined && { dtype }),
    });
  } finally {
    bar.stop();
  }
}

/**
 * Aborts when the user interrupts; a second interrupt ends the process at once.
 * @param more signals that interrupt besides
 */
export function interruptSignal(more: readonly NodeJS.Signals[] = []): AbortSignal {
  const controller = new AbortController();
  const signals = ["SIGINT", "SIGTERM", ...more] as const;
  const interrupt = () => {
    for (const signal of signals) process.off(signal, interrupt);
    controller.abort();
  };
  for (const signal of signals) process.on(signal, interrupt);
  return controller.signal;
}
