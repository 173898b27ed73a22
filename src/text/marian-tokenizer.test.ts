import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { loadMarianTokenizer, type MarianTokenizer } from "./marian-tokenizer.js";

const shared = process.env.LINGOLENS_SHARED;
const fixtures = join(shared ?? "", "fixtures");

interface Pair {
  readonly tokenizer: string;
  readonly side: "source" | "target";
  readonly text: string;
  readonly ids: number[];
  readonly tokens: string[];
  readonly decoded_skip_special?: string;
}

describe.skipIf(!shared)("as Hugging Face's MarianTokenizer, with the files of real models", () => {
  it("gives the ids, pieces and texts of every pair", async () => {
    const { pairs } = JSON.parse(
      await readFile(join(fixtures, "expected/marian_tokenization_generated.json"), "utf8"),
    ) as { pairs: Pair[] };
    const tokenizers = new Map<string, MarianTokenizer>();
    for (const { tokenizer: name, side, text, ids, tokens, decoded_skip_special: decoded } of pairs) {
      const tokenizer =
        tokenizers.get(name) ?? (await loadMarianTokenizer(join(fixtures, "tokenizers/marian", name)));
      tokenizers.set(name, tokenizer);
      const place = `${name}: ${text}`;
      expect(tokenizer.encode(text, side), place).toEqual(ids);
      expect(tokenizer.tokens(ids), place).toEqual(tokens);
      if (decoded !== undefined) expect(tokenizer.decode(ids), place).toBe(decoded);
    }
    expect(tokenizers.size).toBe(4);
    expect(pairs.length).toBeGreaterThan(40);
  });

  it("takes the language that a text asks for as one token", async () => {
    const tokenizer = await loadMarianTokenizer(join(fixtures, "tokenizers/marian/opus-mt-tc-big-en-pt"));
    expect([...tokenizer.languageTokens].sort()).toEqual([">>pob<<", ">>por<<"]);
    const [first, ...rest] = tokenizer.encode(">>por<< a dog");
    expect(tokenizer.tokens([first!])).toEqual([">>por<<"]);
    expect(rest).toEqual(tokenizer.encode("a dog"));
  });
});

it("names what is missing", async () => {
  await expect(loadMarianTokenizer(import.meta.dirname)).rejects.toThrow(/source\.spm/);
});
