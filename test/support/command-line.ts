/** Runs the built command line as its users do. */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";

const main = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));

export interface Finished {
  /** Exit code; null where a signal ended the process. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunSettings {
  /** Working folder, which relative paths in arguments count from. */
  readonly cwd?: string;
  /** What standard input holds. Default: nothing. */
  readonly stdin?: string | Uint8Array;
  /** Options of Node itself. */
  readonly node?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Milliseconds after which a command hangs. Default: 50,000. */
  readonly patience?: number;
}

/** A command that goes on, its standard input open. */
export interface Started {
  readonly child: ChildProcessWithoutNullStreams;
  readonly finished: Promise<Finished>;
}

export function start(
  args: readonly string[],
  { cwd, node = [], env, patience = 50_000 }: RunSettings = {},
): Started {
  if (!existsSync(main)) throw new Error(`${main} is not there; build it with: npm run build`);
  // One that hangs fails its test, and does not outlive it.
  const child = spawn(process.execPath, [...node, main, ...args], {
    cwd,
    env: { ...process.env, ...env },
    timeout: patience,
    killSignal: "SIGKILL",
  });
  child.stdin.on("error", () => {}); // The command may end before it has read everything.
  const closed = new Promise<number | null>((resolve, reject) => {
    child.on("close", resolve).on("error", reject);
  });
  // A test may close the output early.
  const output = (stream: typeof child.stdout) => text(stream).catch(() => "");
  const finished = Promise.all([closed, output(child.stdout), output(child.stderr)]).then(
    ([code, stdout, stderr]) => ({ code, stdout, stderr }),
  );
  return { child, finished };
}

/** Runs a command to its end. */
export function run(args: readonly string[], settings: RunSettings = {}): Promise<Finished> {
  const { child, finished } = start(args, settings);
  child.stdin.end(settings.stdin ?? "");
  return finished;
}

/** Runs a command that is expected to succeed, and returns its output. */
export async function output(args: readonly string[], settings: RunSettings = {}): Promise<string> {
  const { code, stdout, stderr } = await run(args, settings);
  expect(code, stderr).toBe(0);
  return stdout;
}

/** The values of JSON lines. */
// biome-ignore lint/suspicious/noExplicitAny: tests look into what a command printed
export function jsonLines(stdout: string): any[] {
  expect(stdout === "" || stdout.endsWith("\n")).toBe(true);
  return stdout
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line));
}

/** Lines of stderr that name a failure, the rest being notes. */
export function failures(stderr: string): string[] {
  return stderr.split("\n").filter((line) => line.startsWith("lingolens: "));
}
