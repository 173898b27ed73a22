import { BeamSearch } from "../generation/beam-search.js";
import { GreedySearch } from "../generation/greedy-search.js";
import { Sampling } from "../generation/sampling.js";
import type { Search } from "../generation/search.js";
import type { CaptionerConfig } from "../model/config.js";
import type { Mbart50Tokenizer } from "../text/mbart50-tokenizer.js";
import type { RawJson } from "../weights/model-folder.js";
import type { ResolvedCaptionOptions } from "./options.js";

/** What the searches of all pictures and languages have in common. */
export type SearchSettings = ReturnType<typeof searchSettings>;

export function searchSettings(
  options: ResolvedCaptionOptions,
  { ids, decoder }: CaptionerConfig,
  tokenizer: Mbart50Tokenizer,
  generationConfig: RawJson = {},
) {
  const forcedEos = generationConfig.forced_eos_token_id;
  return {
    ...options,
    maxLength: Math.min(options.maxLength, decoder.maxPositions),
    prompt: [ids.decoderStart],
    eosId: ids.eos,
    bannedSequences: options.suppress.flatMap((text) => spellings(text, tokenizer)),
    ...(typeof forcedEos === "number" && { forcedEosId: forcedEos }),
    // Pieces can spell a phrase in more ways than those, so the text is looked at, too.
    ...(options.suppress.length > 0 && {
      rejects: (tokens: readonly number[]) => {
        const text = tokenizer.decode(tokens);
        return options.suppress.some((phrase) => text.includes(phrase));
      },
    }),
    temperature: options.temperature ?? 1,
    topK: Math.min((options.topK ?? 50) || decoder.vocabularySize, decoder.vocabularySize),
    topP: options.topP ?? 1,
    seed: options.seed ?? 0,
  };
}

/** A phrase's tokens at the start of a word, and right behind another character. */
function spellings(text: string, tokenizer: Mbart50Tokenizer): number[][] {
  const standing = tokenizer.encodeText(text);
  // Encoded behind an opening bracket, which no piece joins with letters.
  const behind = tokenizer.encodeText(`(${text}`);
  const bracket = tokenizer.encodeText("(");
  const joined = bracket.every((id, i) => behind[i] === id) ? behind.slice(bracket.length) : [];
  return [standing, joined].filter((ids) => ids.length > 0);
}

export function searchFor(settings: SearchSettings, languageId: number): Search {
  const options = { ...settings, forcedFirst: languageId };
  if (settings.sample) return new Sampling(options);
  return settings.beams === 1 ? new GreedySearch(options) : new BeamSearch(options);
}
