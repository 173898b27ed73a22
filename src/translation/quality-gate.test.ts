import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import { beforeAll, describe, expect, it } from "vitest";
import { type IdentifyLanguage, loadLanguageIdentifier } from "../evaluation/language-fidelity.js";
import { randomNumbers } from "../model/random.js";
import { PERSON } from "../text/person-mask.js";
import { type Fault, faultsOf } from "./quality-gate.js";

const shared = process.env.LINGOLENS_SHARED;
const folder = join(shared ?? "", "fixtures/multilingual/multi30k/raw");

let identify: IdentifyLanguage;
beforeAll(async () => {
  identify = await loadLanguageIdentifier();
});

interface Pair {
  readonly source: string;
  readonly translation: string;
}

const TARGETS = ["de", "fr"] as const;

describe.skipIf(!shared)("on Multi30k", () => {
  const pairs: Record<string, Pair[]> = {};

  beforeAll(async () => {
    const lines = async (lang: string) =>
      `${await promisify(gunzip)(await readFile(join(folder, `train.${lang}.gz`)))}`.trimEnd().split("\n");
    const sources = await lines("en");
    for (const to of TARGETS) {
      const translations = await lines(to);
      pairs[to] = sources.map((source, i) => ({ source, translation: translations[i]! }));
    }
  });

  it.each(TARGETS)("rejects at most one in a hundred of the good pairs (%s)", (to) => {
    const rejected: Partial<Record<Fault, number>> = {};
    let count = 0;
    for (const pair of pairs[to]!) {
      const faults = faultsOf({ ...pair, from: "en", to }, identify);
      if (faults.length > 0) count++;
      for (const fault of faults) rejected[fault] = (rejected[fault] ?? 0) + 1;
    }
    const share = count / pairs[to]!.length;
    console.log(`${to}: ${(100 * share).toFixed(2)} % of ${pairs[to]!.length} rejected`, rejected);
    expect(share).toBeLessThanOrEqual(0.01);
  });

  /** A thousand of each class; what is planted in a pair, or nothing where it does not fit. */
  const planted: Record<string, { fault: Fault; plant: Plant }> = {
    "a translation cut short": { fault: "length", plant: cut },
    "a translation with another behind it": { fault: "length", plant: extended },
    "a phrase said again and again": { fault: "repetition", plant: repeated },
    "the source as it is": {
      fault: "untranslated",
      plant: ({ source }) => ({ source, translation: source }),
    },
    "the source but for a word": { fault: "untranslated", plant: copied },
    "another language": { fault: "wrong-language", plant: foreign },
    "a lost mask": { fault: "lost-placeholder", plant: withoutMask },
    "a mask too many": { fault: "lost-placeholder", plant: maskedTwice },
    "a lost number": { fault: "lost-number", plant: withoutNumber },
    "another number": { fault: "lost-number", plant: withOtherNumber },
    "nothing but marks": { fault: "empty", plant: ({ source }) => ({ source, translation: " … ." }) },
    "an unlikely translation": {
      fault: "low-score",
      plant: (pair, random) => ({ ...pair, score: -1.6 - 4 * random() }),
    },
  };

  it.each(Object.entries(planted))("finds 95 % of a thousand: %s", (name, { fault, plant }) => {
    const random = randomNumbers(1);
    let found = 0;
    let total = 0;
    while (total < 1000) {
      const to = TARGETS[total % 2]!;
      const index = Math.floor(random() * pairs[to]!.length);
      const pair = pairs[to]![index]!;
      // What is planted into a faulty pair proves nothing.
      if (faultsOf({ ...pair, from: "en", to }, identify).length > 0) continue;
      const bad = plant(pair, random, { to, index });
      if (!bad) continue;
      total++;
      if (faultsOf({ ...bad, from: "en", to }, identify).includes(fault)) found++;
    }
    console.log(`${name}: ${found} of ${total} found as ${fault}`);
    expect(found).toBeGreaterThanOrEqual(950);
  });

  type Plant = (
    pair: Pair,
    random: () => number,
    place: { readonly to: string; readonly index: number },
  ) => (Pair & { score?: number }) | undefined;

  const split = (text: string): string[] => text.split(" ");

  /** A fifth to a third of the words are left. */
  function cut({ source, translation }: Pair, random: () => number) {
    const words = split(translation);
    if (words.length < 6) return undefined;
    const kept = Math.max(1, Math.floor(words.length * (0.2 + 0.13 * random())));
    return { source, translation: words.slice(0, kept).join(" ") };
  }

  function extended({ source, translation }: Pair, random: () => number, { to }: { to: string }) {
    const other = pairs[to]![Math.floor(random() * 29000)]!.translation;
    return other.length < translation.length ? undefined : { source, translation: `${translation} ${other}` };
  }

  function repeated({ source, translation }: Pair, random: () => number) {
    const words = split(translation);
    const length = 1 + Math.floor(random() * 4);
    const start = Math.floor(random() * Math.max(1, words.length - length));
    const phrase = words.slice(start, start + length);
    const times = 2 + Math.floor(random() * 3);
    return {
      source,
      translation: [
        ...words.slice(0, start),
        ...Array(times + 1)
          .fill(phrase)
          .flat(),
        ...words.slice(start + length),
      ].join(" "),
    };
  }

  function copied({ source, translation }: Pair, random: () => number) {
    const words = split(source);
    if (words.length < 5) return undefined;
    words[Math.floor(random() * words.length)] = split(translation)[0]!;
    return { source, translation: words.join(" ") };
  }

  function foreign({ source }: Pair, _: () => number, { to, index }: { to: string; index: number }) {
    return { source, translation: pairs[to === "de" ? "fr" : "de"]![index]!.translation };
  }

  /** The pair with something in place of a word on both sides. */
  function withWord({ source, translation }: Pair, word: string, translated: string): Pair {
    return {
      source: [word, ...split(source).slice(1)].join(" "),
      translation: [translated, ...split(translation).slice(1)].join(" "),
    };
  }

  function withoutMask(pair: Pair, random: () => number) {
    return withWord(pair, PERSON, random() < 0.5 ? "" : "<PER SON>");
  }

  function maskedTwice(pair: Pair) {
    return withWord(pair, PERSON, `${PERSON}${PERSON}`);
  }

  const anyNumber = (random: () => number): number => Math.floor(2 + 10 ** (4 * random()));

  function withoutNumber(pair: Pair, random: () => number) {
    return withWord(pair, `${anyNumber(random)}`, "");
  }

  function withOtherNumber(pair: Pair, random: () => number) {
    const number = anyNumber(random);
    return withWord(pair, `${number}`, `${number + 1 + Math.floor(9 * random())}`);
  }
});

describe("what is no fault", () => {
  it.each([
    ["numbers written another way", "1,000.50 dollars in 2 cities", "1.000,50 Dollar in zwei Städten", "de"],
    ["a mask in another place", "<PERSON> wears a hat", "Un chapeau porté par <PERSON> ce soir", "fr"],
    ["a word that German says twice", "the woman whom we know", "die Frau, die die Leute kennen", "de"],
    ["a repetition that the source has", "a very very very old dog", "ein sehr sehr sehr alter Hund", "de"],
    ["a name", "Mercedes-Benz S 500", "Mercedes-Benz S 500", "de"],
  ])("%s", (_, source, translation, to) => {
    expect(faultsOf({ source, translation, from: "en", to, score: -0.4 }, identify)).toEqual([]);
  });
});
