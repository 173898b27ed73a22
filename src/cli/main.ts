#!/usr/bin/env node
import { readFileSync } from "node:fs";
import { Command, CommanderError } from "commander";
import { LingolensError } from "../errors.js";
import { altCommand } from "./alt.js";
import { captionCommand } from "./caption.js";
import { compareCommand } from "./compare.js";
import { dataCommand } from "./data.js";
import { evaluateCommand } from "./evaluate.js";
import { exportCommand } from "./export.js";
import { initCommand } from "./init.js";
import { metricsCommand } from "./metrics.js";
import { scoreCommand } from "./score.js";
import { serveCommand } from "./serve.js";
import { tokenizeCommand } from "./tokenize.js";
import { trainCommand } from "./train.js";

/** Exit codes: all well, some input failed, wrong use, interrupted. */
export const EXIT = { ok: 0, failed: 1, usage: 2, interrupted: 130 } as const;

const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));

const EXAMPLES = `
Examples:
  lingolens caption photo.jpg --lang en,de,fr,es
  lingolens data scenes --count 500 --seed 1 --split test --out scenes-test
  lingolens evaluate --data scenes-test
  lingolens train scenes --out runs/scenes
  lingolens caption --help

Results go to stdout, notes, progress and errors to stderr. Exit code: 0 all well, 1 some input failed (each is named),
2 wrong use, 130 interrupted.`;

const program = new Command("lingolens")
  .description("Describes pictures in many languages, and trains the model that does.")
  .version(version)
  .showHelpAfterError("(add --help for what there is)")
  .addHelpText("after", EXAMPLES)
  .exitOverride();
for (const command of [
  captionCommand,
  serveCommand,
  altCommand,
  trainCommand,
  evaluateCommand,
  metricsCommand,
  compareCommand,
  scoreCommand,
  tokenizeCommand,
  dataCommand,
  initCommand,
  exportCommand,
])
  program.addCommand(inheriting(command(), program));

/** A command within another exits and reports as the program does too. */
function inheriting(command: Command, parent: Command): Command {
  command.copyInheritedSettings(parent);
  for (const sub of command.commands) inheriting(sub, command);
  return command;
}

/** Errors that say that the command was put wrongly, not that something failed. */
const USAGE_CODES = ["option-unsupported", "unknown-language", "config-invalid"];

// Whoever reads the output may have seen enough, such as `head`.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(EXIT.ok);
  throw error;
});

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = report(error);
}

function report(error: unknown): number {
  // Commander has already written its own message; help and version are no errors.
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  if (!(error instanceof LingolensError)) throw error;
  process.stderr.write(`lingolens: ${error.message} (${error.code})\n`);
  if (error.code === "cancelled") return EXIT.interrupted;
  return USAGE_CODES.includes(error.code) ? EXIT.usage : EXIT.failed;
}
