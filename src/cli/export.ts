import { readdir } from "node:fs/promises";
import { Command, Option } from "commander";
import { LingolensError } from "../errors.js";
import { exportFlax } from "../exports/flax.js";
import { publishModel } from "../exports/hub.js";
import { exportHuggingFace, type StorageType } from "../exports/huggingface.js";
import { exportInt8 } from "../exports/int8.js";
import { exportOnnx } from "../exports/onnx.js";
import type { ExportOptions } from "../exports/parameters.js";
import { exportTrimmed } from "../exports/trimmed.js";
import { isInt8 } from "../quantization/cached-int8.js";
import { writeFolderAtomically } from "../weights/atomic-file.js";
import { type ModelFolder, openModelFolder } from "../weights/model-folder.js";
import { integer, interruptSignal, list, modelFolder, modelOption, offlineOption } from "./arguments.js";
import { downloadBar } from "./progress-bar.js";

const EXAMPLES = `
Examples:
  lingolens export --to huggingface --out for-python
  lingolens export --model original --to huggingface --dtype bf16 --out for-python
  lingolens export --model runs/mine/final --to onnx --dtype fp16 --out for-the-browser
  lingolens export --model runs/mine/final --to flax --out for-the-original
  lingolens export --model original --to int8 --pictures my-pictures/ --out fast
  lingolens export --model original --to trimmed --lang en,de,fr,es --corpus captions.txt --out small
  HF_TOKEN=… lingolens export --model runs/mine/final --to hub me/my-captioner
  lingolens export --model DIR --to trimmed --lang en,it --corpus my-pictures --vocabulary-size 65536 --out small

What each form is for: docs/exporting.md.`;

/** Options that some targets take. */
interface TargetFlags {
  readonly dtype?: StorageType;
  readonly lang?: readonly string[];
  readonly corpus?: readonly string[];
  readonly vocabularySize?: number;
  readonly pictures?: readonly string[];
  readonly private?: boolean;
  /** New folder, of all targets but the hub. */
  readonly out?: string;
}

interface Flags extends TargetFlags {
  readonly model?: string;
  readonly offline?: boolean;
  readonly to: string;
  readonly json?: boolean;
}

/** A form to export to. */
interface Target {
  /** Which of the options it takes. */
  readonly takes: readonly (keyof TargetFlags)[];
  /** Which of them it cannot do without. */
  readonly needs?: readonly (keyof TargetFlags)[];
}

interface FolderTarget extends Target {
  /** Writes its files into the folder `out`. */
  readonly write: (
    folder: ModelFolder,
    out: string,
    flags: TargetFlags,
    options: ExportOptions,
  ) => Promise<void>;
}

const FOLDER_TARGETS: Readonly<Record<string, FolderTarget>> = {
  int8: {
    takes: ["pictures"],
    write: (folder, out, flags, options) => exportInt8(folder, out, { ...flags, ...options }),
  },
  huggingface: {
    takes: ["dtype"],
    write: (folder, out, flags, options) => exportHuggingFace(folder, out, { ...flags, ...options }),
  },
  onnx: {
    takes: ["dtype"],
    write: (folder, out, { dtype }, options) => {
      if (dtype === "bf16")
        throw unsupported(
          "--dtype bf16 is not supported for --to onnx: ONNX Runtime computes little with it.",
        );
      return exportOnnx(folder, out, { ...(dtype && { dtype }), ...options });
    },
  },
  flax: { takes: [], write: (folder, out, _, options) => exportFlax(folder, out, options) },
  trimmed: {
    takes: ["lang", "corpus", "vocabularySize"],
    needs: ["lang", "corpus"],
    write: (folder, out, { lang = [], corpus = [], ...flags }, options) =>
      exportTrimmed(folder, out, { languages: lang, corpus, ...flags, ...options }),
  },
};

const TARGETS: Readonly<Record<string, Target>> = {
  ...Object.fromEntries(
    Object.entries(FOLDER_TARGETS).map(([to, { takes, needs = [] }]) => [
      to,
      { takes: [...takes, "out"], needs: [...needs, "out"] } satisfies Target,
    ]),
  ),
  hub: { takes: ["private"] },
};

export function exportCommand(): Command {
  return new Command("export")
    .description("write a model in another form, or publish it")
    .argument("[name]", "hub: owner/name of the model there")
    .addOption(modelOption())
    .addOption(offlineOption())
    .addOption(new Option("--to <form>", "what to write").choices(Object.keys(TARGETS)).makeOptionMandatory())
    .addOption(
      new Option("--dtype <type>", "huggingface, onnx: how weights are stored (default: fp32)").choices([
        "fp32",
        "fp16",
        "bf16",
      ]),
    )
    .addOption(new Option("--lang <codes>", "trimmed: languages to keep, such as en,de").argParser(list))
    .option("--corpus <file...>", "trimmed: text files and datasets whose words must stay whole")
    .option(
      "--vocabulary-size <n>",
      "trimmed: tokens to keep, the most frequent or probable (default: what the corpus needs)",
      integer(1),
    )
    .option(
      "--pictures <picture...>",
      "int8: pictures to measure rounding errors on, like those to be described (default: the drawn examples)",
    )
    .option("--private", "hub: a new model is only for those whom you let read it")
    .option("--out <folder>", "new folder to write; all but hub need it")
    .option("--json", "print the folder and its form, or the address, as JSON")
    .addHelpText("after", EXAMPLES)
    .action(exportModel);
}

async function exportModel(
  name: string | undefined,
  { model, offline, to, json, ...flags }: Flags,
): Promise<void> {
  checkFlags(flags, to);
  if ((name !== undefined) !== (to === "hub"))
    throw unsupported(
      to === "hub"
        ? "--to hub needs the name of the model there, owner/name."
        : `"${name}": a name belongs to --to hub; the folder to write is given by --out.`,
    );
  const { out } = flags;
  if (out !== undefined) await refuseUsed(out);
  const signal = interruptSignal();
  const path = await modelFolder(model, { offline, signal });
  const [conversion, bar] = [downloadBar(), downloadBar()];
  try {
    const folder = await openModelFolder(path, { signal, onProgress: conversion.update });
    conversion.stop();
    const options = { signal, onProgress: bar.update };
    if (name !== undefined) {
      const url = await publishModel(folder, name, { ...flags, ...options });
      bar.stop();
      process.stdout.write(json ? `${JSON.stringify({ to, url })}\n` : `Done: the model is at ${url}\n`);
    } else {
      await writeForm(folder, out!, to, flags, options);
      bar.stop();
      process.stdout.write(json ? `${JSON.stringify({ to, out })}\n` : `Done: the ${to} form is in ${out}\n`);
    }
  } finally {
    conversion.stop();
    bar.stop();
  }
}

async function writeForm(
  folder: ModelFolder,
  out: string,
  to: string,
  flags: TargetFlags,
  options: ExportOptions,
): Promise<void> {
  if (isInt8(folder))
    throw unsupported(
      `${folder.path}: its weights are rounded to int8; export the model that it was made from.`,
    );
  const onNotice = (line: string) => process.stderr.write(`Note: ${line}\n`);
  await writeFolderAtomically(out, (aside) =>
    FOLDER_TARGETS[to]!.write(folder, aside, flags, { ...options, onNotice }),
  );
}

/** Refuses options that the target would ignore, and asks for those that it needs. */
function checkFlags(flags: TargetFlags, to: string): void {
  const { takes, needs = [] } = TARGETS[to]!;
  for (const name of Object.keys(flags) as (keyof TargetFlags)[]) {
    if (takes.includes(name)) continue;
    const takers = Object.keys(TARGETS).filter((key) => TARGETS[key]!.takes.includes(name));
    throw unsupported(
      `--${kebab(name)} does nothing for --to ${to}; it belongs to --to ${takers.join(" and --to ")}. Leave it out.`,
    );
  }
  const missing = needs.find((name) => flags[name] === undefined);
  if (missing !== undefined)
    throw unsupported(`--to ${to} needs --${kebab(missing)}; see lingolens export --help.`);
}

function unsupported(message: string): LingolensError {
  return new LingolensError("option-unsupported", message);
}

const kebab = (name: string): string => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

/** Refuses, before any work, what the finished folder could not take the place of. */
async function refuseUsed(out: string): Promise<void> {
  const used = await readdir(out).then(
    (names) => names.length > 0,
    (error: NodeJS.ErrnoException) => error.code !== "ENOENT",
  );
  if (!used) return;
  throw new LingolensError(
    "already-exists",
    `${out}: expected a new or empty folder, got one that is not. Name another, or remove it first.`,
  );
}
