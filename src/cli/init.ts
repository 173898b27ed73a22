import { Command, Option } from "commander";
import { LingolensError } from "../errors.js";
import { joinModels, type NewModel, randomOriginal } from "../weights/new-model.js";
import { integer, interruptSignal, modelFolder, offlineOption } from "./arguments.js";
import { downloadBar } from "./progress-bar.js";

const EXAMPLES = `
Examples:
  lingolens init --vision clip-vit-base-patch32/ --text mbart-large-50/ --out start
  lingolens init --vision openai/clip-vit-base-patch32 --text facebook/mbart-large-50 --out start
  lingolens init --size original --seed 0 --tokenizer facebook/mbart-large-50 --out random
  lingolens train fine-tune --set model.path=start --set data.path=my-pictures --out runs/mine

From --vision come CLIP's vision model and picture settings; from --text mBART's decoder, embedding and tokenizer.
What joins the two is drawn at random, so the model has yet to be trained.`;

interface Flags {
  readonly vision?: string;
  readonly text?: string;
  readonly size?: "original";
  readonly tokenizer?: string;
  readonly seed: number;
  readonly offline?: boolean;
  readonly out: string;
  readonly json?: boolean;
}

export function initCommand(): Command {
  return new Command("init")
    .description("make a model to start training from")
    .option("--vision <model>", "CLIP: a folder, or owner/name[@revision] of the Hugging Face hub")
    .option("--text <model>", "mBART: a folder, or owner/name[@revision] of the hub")
    .addOption(
      new Option("--size <size>", "instead of --vision and --text: all values at random").choices([
        "original",
      ]),
    )
    .option("--tokenizer <model>", "where the tokenizer comes from (default: --text)")
    .option("--seed <n>", "of what is drawn at random", integer(0), 0)
    .addOption(offlineOption())
    .requiredOption("--out <folder>", "new folder for the model")
    .option("--json", "print a summary as JSON")
    .addHelpText("after", EXAMPLES)
    .action(init);
}

async function init({ vision, text, size, tokenizer, seed, offline, out, json }: Flags): Promise<void> {
  const joined = vision !== undefined && text !== undefined;
  if (size ? vision !== undefined || text !== undefined : !joined)
    throw new LingolensError("option-unsupported", "Expected --vision and --text, or --size original alone.");
  const signal = interruptSignal();
  const folder = (name: string, weights: boolean) => modelFolder(name, { offline, signal, weights });
  const tokenizerFolder = tokenizer === undefined ? undefined : await folder(tokenizer, false);
  const models = joined && { vision: await folder(vision, true), text: await folder(text, true) };
  const bar = downloadBar();
  let model: NewModel;
  try {
    const options = { out, seed, tokenizer: tokenizerFolder, signal, onProgress: bar.update };
    model = models ? await joinModels({ ...options, ...models }) : await randomOriginal(options);
  } finally {
    bar.stop();
  }
  const { parameters, tokenizerFiles } = model;
  if (tokenizerFiles.length === 0) process.stderr.write(noTokenizer(out));
  process.stdout.write(
    json
      ? `${JSON.stringify({ model: out, parameters, tokenizerFiles })}\n`
      : `${(parameters / 1e6).toFixed(1)} M parameters in ${out}\n`,
  );
}

const noTokenizer = (out: string): string =>
  `Note: ${out} has no tokenizer, which captioning and training need. Name one with --tokenizer, or copy the files of\n` +
  "facebook/mbart-large-50 there.\n";
