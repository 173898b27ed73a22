import { Command, Option } from "commander";
import { readCaptionPairs } from "../evaluation/caption-files.js";
import { scoreCaptions } from "../evaluation/caption-scores.js";
import { SACREBLEU_TOKENIZERS, type SacreBleuTokenizer } from "../evaluation/sacrebleu-tokenizers.js";
import { resolveLanguage } from "../text/languages.js";
import { scoreTable } from "./score-table.js";

const EXAMPLES = `
Examples:
  lingolens metrics --hypotheses captions.de.txt --references human.de.txt --lang de
  lingolens metrics --hypotheses out.txt --references ref0.txt ref1.txt ref2.txt --lang en --json
  lingolens metrics --hypotheses results.json --references captions_val2014.json --lang en

Text files have a caption a line, the same picture on the same line of each; an empty line in a file of references is a
reference that this picture lacks. JSON files are COCO's results and annotations. No model is needed.`;

interface Flags {
  readonly hypotheses: string;
  readonly references: string[];
  readonly lang: string;
  readonly tokenize?: SacreBleuTokenizer;
  readonly lowercase?: boolean;
  readonly json?: boolean;
}

export function metricsCommand(): Command {
  return new Command("metrics")
    .description("scores captions in a file against references: BLEU, chrF, CIDEr, faults and more")
    .requiredOption("--hypotheses <file>", "the captions to score")
    .requiredOption("--references <files...>", "files of references")
    .requiredOption("--lang <code>", "language of the captions")
    .addOption(
      new Option(
        "--tokenize <tokenizer>",
        "sacreBLEU's (default: char for languages written without spaces, else 13a)",
      ).choices(SACREBLEU_TOKENIZERS),
    )
    .option("--lowercase", "ignore case in sacreBLEU")
    .option("--json", "print JSON instead of a table")
    .addHelpText("after", EXAMPLES)
    .action(metrics);
}

async function metrics({ hypotheses, references, lang, json, ...sacreBleu }: Flags): Promise<void> {
  const { iso } = resolveLanguage(lang);
  const pairs = await readCaptionPairs(hypotheses, references);
  const scores = await scoreCaptions(pairs.hypotheses, pairs.references, { lang: iso, ...sacreBleu });
  process.stdout.write(
    json
      ? `${JSON.stringify(scores)}\n`
      : `${scoreTable({ [iso]: scores })}sacreBLEU ${scores.sacreBleu.signature}\n`,
  );
}
