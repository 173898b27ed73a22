import { createInterface } from "node:readline";
import { Command } from "commander";
import { loadTokenizerFolder } from "../text/tokenizer-folder.js";
import { modelFolder, modelOption, offlineOption } from "./arguments.js";

const EXAMPLES = `
Examples:
  echo "a red circle" | lingolens tokenize --json
  lingolens tokenize --model DIR --lang de_DE --json < captions.txt

Each line becomes [lang] tokens </s>. The folder needs a tokenizer only, no weights.`;

interface Flags {
  readonly model?: string;
  readonly offline?: boolean;
  readonly lang: string;
  readonly json?: boolean;
}

export function tokenizeCommand(): Command {
  return new Command("tokenize")
    .description("turn lines of standard input into token ids")
    .addOption(modelOption())
    .addOption(offlineOption())
    .option("--lang <code>", "language of the lines", "en")
    .option("--json", 'a line {"text":…,"tokens":[ids]} each, instead of the pieces')
    .addHelpText("after", EXAMPLES)
    .action(tokenize);
}

async function tokenize({ model, offline, lang, json }: Flags): Promise<void> {
  const tokenizer = await loadTokenizerFolder(await modelFolder(model, { offline, weights: false }));
  tokenizer.languageId(lang); // An unknown language fails before the first line is waited for.
  for await (const text of createInterface({ input: process.stdin, crlfDelay: Number.POSITIVE_INFINITY })) {
    const tokens = tokenizer.encode(text, lang);
    process.stdout.write(`${json ? JSON.stringify({ text, tokens }) : tokenizer.tokens(tokens).join(" ")}\n`);
  }
}
