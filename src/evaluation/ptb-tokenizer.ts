/**
 * English words after the Penn Treebank's conventions, lower case and without punctuation, as COCO's caption
 * evaluation takes them from Stanford's PTBTokenizer. Of its rules, those are here that captions meet.
 */

/** Their full stop belongs to them. */
const ABBREVIATIONS =
  "adm|ave|blvd|bros|capt|co|col|corp|dr|etc|ft|gen|gov|hon|inc|jr|lt|ltd|maj|mr|mrs|ms|mt|pres|prof|rd|rep|rev|" +
  "sen|sgt|sr|st|ste|vs|jan|feb|apr|aug|sept?|oct|nov|dec|mon|tues?|wed|thurs?|fri";

const LETTER = "[\\p{L}\\p{N}\\p{M}]";

const TOKEN = new RegExp(
  [
    "</?\\p{L}[^<>\\s]*>", // A tag, such as <PERSON>.
    "https?://\\S*[^\\s.,;:!?\"')]",
    "(?:\\p{L}\\.){2,}", // a.m.
    `(?<!${LETTER})(?:${ABBREVIATIONS})\\.`,
    `\\p{N}+(?:[.,:/]\\p{N}+)+(?!${LETTER})`, // 1:20
    `${LETTER}+(?:[-/_']${LETTER}+)*(?:\\.(?=[,;:]))?`,
    "'(?:s|m|d|ll|re|ve|em|til|n)(?!\\p{L})",
    "-[lr][rsc]b-", // A bracket of a text that was tokenised before.
    "\\.+|-+",
    "\\S",
  ].join("|"),
  "giu",
);

/** What Stanford's tokenizer writes for a bracket. COCO's list of punctuation misses them in lower case, so they stay. */
const BRACKETS: Readonly<Record<string, string>> = {
  "(": "-lrb-",
  ")": "-rrb-",
  "[": "-lsb-",
  "]": "-rsb-",
  "{": "-lcb-",
  "}": "-rcb-",
};

const PUNCTUATION = /^(?:['"`.?!,:;«»‹›“”„‚–—…]|\.+|-+)$/;

const SPLIT_WORDS: readonly RegExp[] = [
  /^(.+)(n't)$/,
  /^(.+)('(?:s|m|d|ll|re|ve))$/,
  /^(can)(not)$/,
  /^(gon|wan)(na)$/,
  /^(got)(ta)$/,
  /^(gim|lem)(me)$/,
];

/** British spellings that the tokenizer makes American. */
const AMERICAN: readonly (readonly [RegExp, string])[] = [
  [/^((?:dis)?col|fav|flav|harb|hon|hum|lab|neighb|od|parl|rum|sav|vap)our/, "$1or"],
  [/^(cent|theat)re(s?)$/, "$1er$2"],
];

export function ptbTokens(text: string): string[] {
  const straight = text.replace(/[‘’]/g, "'").toLowerCase();
  return (straight.match(TOKEN) ?? []).flatMap((token) => {
    if (PUNCTUATION.test(token)) return [];
    const bracket = BRACKETS[token];
    if (bracket) return bracket;
    const parts = SPLIT_WORDS.map((rule) => rule.exec(token)).find((match) => match !== null);
    return (parts ? parts.slice(1) : [token]).map(american);
  });
}

function american(token: string): string {
  return AMERICAN.reduce((word, [british, spelling]) => word.replace(british, spelling), token);
}
