import { base64Encode } from "@bufbuild/protobuf/wire";
import type { Mbart50Tokenizer } from "./mbart50-tokenizer.js";
import { spaceSymbol } from "./normalizer.js";

/**
 * `tokenizer.json` of a tokenizer that was made of a SentencePiece model, as Hugging Face's `MBart50TokenizerFast`
 * saves it. What that encodes begins with the code of English, or of the first language where English is not there.
 */
export function writeTokenizerJson(tokenizer: Mbart50Tokenizer): string {
  const { pieces, scores, unknownId, specialTokens, precompiledCharsMap } = tokenizer.definition;
  const metaspace = { type: "Metaspace", replacement: spaceSymbol, prepend_scheme: "always", split: true };
  const json = {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: specialTokens.map(({ id, content, stripsLeft, stripsRight }) => ({
      id,
      content,
      single_word: false,
      lstrip: stripsLeft,
      rstrip: stripsRight,
      normalized: false,
      special: true,
    })),
    normalizer: {
      type: "Sequence",
      normalizers: [
        ...(precompiledCharsMap
          ? [{ type: "Precompiled", precompiled_charsmap: base64Encode(precompiledCharsMap) }]
          : []),
        { type: "Replace", pattern: { Regex: " {2,}" }, content: " " },
      ],
    },
    pre_tokenizer: metaspace,
    post_processor: languageTemplate(tokenizer),
    decoder: metaspace,
    model: {
      type: "Unigram",
      unk_id: unknownId,
      vocab: pieces.map((piece, id) => [piece, scores[id] ?? 0]),
      byte_fallback: false,
    },
  };
  return `${JSON.stringify(json)}\n`;
}

/** `[language] text </s>` */
function languageTemplate({ definition, languages, eosId }: Mbart50Tokenizer) {
  const code = (languages.find(({ iso }) => iso === "en") ?? languages[0])?.code;
  const end = definition.pieces[eosId]!;
  const front = code === undefined ? [] : [code];
  const special = (id: string) => ({ SpecialToken: { id, type_id: 0 } });
  const text = (id: string) => ({ Sequence: { id, type_id: 0 } });
  const tokens = [end, ...front].map((token) => {
    return [token, { id: token, ids: [definition.pieces.lastIndexOf(token)], tokens: [token] }] as const;
  });
  return {
    type: "TemplateProcessing",
    single: [...front.map(special), text("A"), special(end)],
    pair: [...front.map(special), text("A"), text("B"), special(end)],
    special_tokens: Object.fromEntries(tokens),
  };
}
