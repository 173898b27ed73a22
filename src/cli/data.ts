import { Command, Option } from "commander";
import { SCENE_LANGUAGES } from "../data/scenes/caption.js";
import { SPLITS, type Split } from "../data/scenes/splits.js";
import { writeScenes } from "../data/scenes/write.js";
import { integer, interruptSignal, list } from "./arguments.js";
import { checkCommand } from "./data-check.js";
import { downloadCommand, importCommand, retryCommand } from "./data-download.js";
import { inspectCommand } from "./data-inspect.js";
import { packCommand } from "./data-pack.js";
import { translateCommand } from "./data-translate.js";
import { uploadCommand } from "./data-upload.js";
import { progressBar } from "./progress-bar.js";

const EXAMPLES = `
Examples:
  lingolens data scenes --count 500 --seed 1 --split test --out scenes-test
  lingolens data scenes --count 2000 --seed 7 --lang it,pt --out scenes-it-pt`;

const SCENES_HELP = `${EXAMPLES}

Splits: test states a combination of kinds, colours and relation that training never shows; unseen-pairs shows
shapes in colours that training never shows them in. The same command writes the same bytes.`;

interface Flags {
  readonly count: number;
  readonly seed: number;
  readonly split: Split;
  readonly lang: readonly string[];
  readonly objects?: string;
  readonly size: number;
  readonly out: string;
  readonly json?: boolean;
}

export function dataCommand(): Command {
  const scenes = new Command("scenes")
    .description("draw pictures of shapes with captions, as a dataset folder")
    .requiredOption("--count <n>", "pictures", integer(1))
    .option("--seed <n>", "another seed draws other scenes", integer(0), 0)
    .addOption(new Option("--split <split>", "what the scenes may show").choices(SPLITS).default("train"))
    .addOption(
      new Option("--lang <codes>", `languages of the captions, of ${SCENE_LANGUAGES.join(", ")}`)
        .argParser(list)
        .default(["en", "de", "fr", "es"], "en,de,fr,es"),
    )
    .addOption(
      new Option("--objects <n>", "shapes in every picture (default: 1 to 3, in test 2 or 3)").choices([
        "1",
        "2",
        "3",
      ]),
    )
    .option("--size <pixels>", "width and height", integer(32), 96)
    .requiredOption("--out <folder>", "new folder for captions.jsonl and images/")
    .option("--json", "print a summary as JSON")
    .addHelpText("after", SCENES_HELP)
    .action(writeScenesFolder);
  return new Command("data")
    .description("make and prepare datasets")
    .addCommand(scenes)
    .addCommand(downloadCommand())
    .addCommand(retryCommand())
    .addCommand(importCommand())
    .addCommand(translateCommand())
    .addCommand(packCommand())
    .addCommand(uploadCommand())
    .addCommand(checkCommand())
    .addCommand(inspectCommand())
    .addHelpText(
      "after",
      `${EXAMPLES}\n  lingolens data download --input cc12m.tsv --out cc12m --size 256 --resize border`,
    );
}

async function writeScenesFolder({ objects, lang, json, ...flags }: Flags): Promise<void> {
  const bar = progressBar("{bar} {value}/{total} scenes, {eta_formatted} left");
  bar?.start(flags.count, 0);
  try {
    await writeScenes({
      ...flags,
      languages: lang,
      ...(objects && { objects: Number(objects) as 1 | 2 | 3 }),
      signal: interruptSignal(),
      onProgress: ({ done }) => bar?.update(done),
    });
  } finally {
    bar?.stop();
  }
  const { count, split, seed, out } = flags;
  process.stdout.write(
    json
      ? `${JSON.stringify({ count, split, seed, languages: lang, out })}\n`
      : `${count} scenes in ${out}\n`,
  );
}
