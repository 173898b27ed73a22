import { realpath, stat } from "node:fs/promises";
import { Command, Option } from "commander";
import { createTwoFilesPatch } from "diff";
import { findPages } from "../alt/find-pages.js";
import type { AltFinding, PageFindings } from "../alt/propose.js";
import type { CaptionDType } from "../captioner/load-captioner.js";
import type { Device } from "../engine/device/device-kind.js";
import { LingolensError } from "../errors.js";
import { resolveLanguage } from "../text/languages.js";
import { writeFileAtomically } from "../weights/atomic-file.js";
import {
  decoderStartOption,
  deviceOption,
  dtypeOption,
  integer,
  interruptSignal,
  modelOption,
  offlineOption,
  openCaptioner,
  threadsOption,
} from "./arguments.js";

const EXAMPLES = `
Examples:
  lingolens alt site/ --model original
  lingolens alt docs/ README.md --lang de --format patch > alt.patch && git apply alt.patch
  lingolens alt index.html --write

Looks at HTML, Markdown and MDX. Pictures that have a text, or that the page declares decorative (alt="" in HTML,
role="presentation", aria-hidden), are left alone. The language is the page's own unless --lang says otherwise.
Proposals are a model's: people must read them before they are published. Exit code: 0 all well, 1 some picture or
page failed, 2 wrong use.`;

interface Flags {
  readonly lang?: string;
  readonly write?: boolean;
  readonly json?: boolean;
  readonly format: "report" | "patch";
  readonly root?: string;
  readonly remote?: boolean;
  readonly allowPrivate?: boolean;
  readonly beams?: number;
  readonly maxLength?: number;
  readonly model?: string;
  readonly offline?: boolean;
  readonly decoderStart?: number;
  readonly threads?: number;
  readonly device: Device;
  readonly dtype?: CaptionDType;
}

export function altCommand(): Command {
  return new Command("alt")
    .description("find pictures without alternative text in web pages, and propose texts")
    .argument("<path...>", "pages (HTML, Markdown, MDX), or folders of them")
    .addOption(modelOption())
    .addOption(offlineOption())
    .option("--lang <code>", "language of the texts (default: each page's own, else en)")
    .option("--write", "put the texts into the pages")
    .addOption(
      new Option("--format <format>", "what to print: a report, or a unified diff")
        .choices(["report", "patch"])
        .default("report"),
    )
    .option("--json", "print the report as a line of JSON per picture")
    .option(
      "--root <folder>",
      "folder of the site's root, for paths that begin with / (default: the folder given)",
    )
    .option("--remote", "describe pictures of other servers, too")
    .option("--allow-private", "with --remote: fetch from private addresses too, such as localhost")
    .option("--beams <n>", "hypotheses of the beam search (default: 4)", integer(1))
    .option("--max-length <n>", "longest text in tokens (default: 64)", integer(2))
    .addOption(decoderStartOption())
    .addOption(threadsOption())
    .addOption(deviceOption())
    .addOption(dtypeOption())
    .addHelpText("after", EXAMPLES)
    .action(alt);
}

async function alt(paths: readonly string[], flags: Flags): Promise<void> {
  const {
    lang,
    write,
    json,
    format,
    root,
    remote = false,
    allowPrivate,
    beams,
    maxLength,
    device,
    ...model
  } = flags;
  if (json && format === "patch")
    throw new LingolensError("option-unsupported", "--json is a report; leave out --format patch.");
  if (allowPrivate && !remote)
    throw new LingolensError("option-unsupported", "--allow-private has an effect with --remote only.");
  if (lang !== undefined) resolveLanguage(lang);
  const files = await findPages(paths, root);
  // The parsers take a sixth of a second to load, which no other command is to wait for.
  const { proposeTexts } = await import("../alt/propose.js");
  const signal = interruptSignal();
  const { offline, threads, decoderStart, dtype } = model;
  const captioner = await openCaptioner(
    { model: model.model, offline, threads, decoderStart, device, dtype },
    signal,
  );
  try {
    const pages = await proposeTexts(files, captioner, {
      remote,
      signal,
      ...(lang !== undefined && { lang }),
      captions: {
        ...(allowPrivate && { allowPrivate }),
        ...(beams !== undefined && { beams }),
        ...(maxLength !== undefined && { maxLength }),
      },
    });
    if (write) for (const page of pages) await writePage(page);
    process.stdout.write(json ? jsonLines(pages) : format === "patch" ? patch(pages) : report(pages));
    nameFailures(pages);
    summarise(pages, files.length, write === true);
  } finally {
    await captioner.close();
  }
}

/** Replaces the file that a link leads to, not the link, and keeps who may read it. */
async function writePage({ file, before, after }: PageFindings): Promise<void> {
  if (before === after) return;
  const path = await realpath(file);
  const { mode } = await stat(path);
  await writeFileAtomically(path, async (handle) => {
    await handle.writeFile(after);
    await handle.chmod(mode);
  });
}

function jsonLines(pages: readonly PageFindings[]): string {
  return pages
    .flatMap(({ file, error, findings }): readonly object[] => (error ? [{ file, error }] : findings))
    .map((finding) => `${JSON.stringify(finding)}\n`)
    .join("");
}

/** For `git apply` and `patch -p1`. */
function patch(pages: readonly PageFindings[]): string {
  return pages
    .filter(({ before, after }) => before !== after)
    .map(({ file, before, after }) => {
      const path = file.replace(/^\.\//, "");
      return createTwoFilesPatch(`a/${path}`, `b/${path}`, before, after).replace(/^=+\n/, "");
    })
    .join("");
}

function report(pages: readonly PageFindings[]): string {
  return pages
    .filter(({ findings }) => findings.some(({ proposed }) => proposed !== undefined))
    .map(({ file, findings }) => `${file}\n${findings.map(reportLine).join("")}\n`)
    .join("");
}

function reportLine({ line, src, lack, alt, lang, proposed }: AltFinding): string {
  if (proposed === undefined) return "";
  const had = lack === "poor" ? `has ${JSON.stringify(alt)}` : "has no text";
  const shown = src.length > 80 ? `${src.slice(0, 80)}…` : src;
  return `  ${line}: ${shown} ${had}\n    ${lang!.slice(0, 2)}: ${proposed}\n`;
}

function nameFailures(pages: readonly PageFindings[]): void {
  const fail = (where: string, { code, message }: { code: string; message: string }): void => {
    process.stderr.write(`lingolens: ${where}: ${message} (${code})\n`);
    process.exitCode = 1;
  };
  for (const { file, error, findings } of pages) {
    if (error) fail(file, error);
    for (const { line, src, error } of findings)
      if (error) fail(`${file}:${line}: ${src.slice(0, 200)}`, error);
  }
}

function summarise(pages: readonly PageFindings[], files: number, written: boolean): void {
  const findings = pages.flatMap((page) => page.findings);
  const proposed = findings.filter((finding) => finding.proposed !== undefined).length;
  process.stderr.write(
    `${files} pages: ${findings.length} pictures lack a text; ${proposed} texts ${written ? "written" : "proposed"}` +
      `${proposed > 0 ? ". Read them before you publish." : "."}\n`,
  );
}
