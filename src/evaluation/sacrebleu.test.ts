import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { confidenceInterval, pairedPValue, resampledScores, sumOf } from "./bootstrap.js";
import { chrfOf, chrfStatistics } from "./chrf.js";
import {
  type SacreBleuOptions,
  sacreBleu,
  sacreBleuOf,
  sacreBleuStatistics,
  sacreBleuWithInterval,
  sentenceSacreBleu,
} from "./sacrebleu.js";
import { type SacreBleuTokenizer, sacreBleuTokens } from "./sacrebleu-tokenizers.js";

const shared = process.env.LINGOLENS_SHARED;

// What sacreBLEU 2.6.0 makes of these; it adds resamples up in 32-bit floats, so means agree to 6 digits.
const hypotheses = ["A cat sits on the mat.", "two dogs run", "", "It costs $1,000.50!"];
const references = [
  ["The cat is sitting on the mat.", "A cat sits on a mat."],
  ["Two dogs are running.", "Two dogs run fast"],
  ["A tree."],
  ["It costs $1,000.50 (at most)!"],
];
const worse = ["A cat on mat.", "dogs run", "A", "It costs!"];

describe("sacreBleuTokens", () => {
  const text = `He said: "it's 3-5, a.m. &amp; $1,000.50 (or <PERSON>)" – l'été… d'un\u00a0vélo? 50%/2-3 - co-op.`;
  it.each<[SacreBleuTokenizer, string]>([
    [
      "13a",
      `He said : " it's 3 - 5 , a . m . & $ 1,000.50 ( or < PERSON > ) " – l'été… d'un vélo ? 50 % / 2 - 3 - co-op .`,
    ],
    [
      "intl",
      `He said : " it ' s 3-5 , a . m . & amp ; $ 1,000.50 ( or < PERSON > ) " – l ' été … d ' un vélo ? 50 % / 2-3 - co - op .`,
    ],
    ["none", `He said: "it's 3-5, a.m. &amp; $1,000.50 (or <PERSON>)" – l'été… d'un vélo? 50%/2-3 - co-op.`],
  ])("%s", (tokenizer, tokens) => {
    expect(sacreBleuTokens(text, tokenizer).join(" ")).toBe(tokens);
  });

  it("char", () => {
    expect(sacreBleuTokens("a 犬\u{1F436}.", "char")).toEqual(["a", "犬", "\u{1F436}", "."]);
  });
});

describe("sacreBleu", () => {
  const sign = (rest: string) => `nrefs:var|case:${rest}|version:2.6.0`;
  it.each<[SacreBleuOptions, number, string]>([
    [{}, 41.86102375740802, sign("mixed|eff:no|tok:13a|smooth:exp")],
    [{ lowercase: true }, 45.329979204612506, sign("lc|eff:no|tok:13a|smooth:exp")],
    [{ tokenize: "intl" }, 34.022909584927156, sign("mixed|eff:no|tok:intl|smooth:exp")],
    [{ tokenize: "char" }, 66.22853234099595, sign("mixed|eff:no|tok:char|smooth:exp")],
    [{ tokenize: "none" }, 37.79416235875617, sign("mixed|eff:no|tok:none|smooth:exp")],
  ])("%o", (options, score, signature) => {
    const result = sacreBleu(hypotheses, references, options);
    expect(result.score).toBeCloseTo(score, 10);
    expect(result.signature).toBe(signature);
  });

  it("smooths orders without a match, or not", () => {
    const one = (smoothing: "exp" | "none") =>
      sacreBleu(["a b c x y z"], [["a b d e f g"]], { smoothing }).score;
    expect(one("exp")).toBeCloseTo(16.233395773754953, 10);
    expect(one("none")).toBe(0);
  });

  it("scores captions alone, short ones too", () => {
    const scores = hypotheses.map((hypothesis, i) => sentenceSacreBleu(hypothesis, references[i]!));
    const expected = [79.52707287670508, 39.43223765116288, 0, 31.772355751081438];
    for (const [i, score] of scores.entries()) expect(score).toBeCloseTo(expected[i]!, 10);
  });

  it("gives sacreBLEU's interval, from its resamples", () => {
    const { score, mean, interval, signature } = sacreBleuWithInterval(hypotheses, references);
    expect(score).toBeCloseTo(41.86102375740802, 10);
    expect(mean).toBeCloseTo(38.51340182578916, 6);
    expect((interval[1] - interval[0]) / 2).toBeCloseTo(34.47013095431887, 6);
    expect(signature).toBe("nrefs:var|bs:1000|seed:12345|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0");
  });

  it("is 100 for a perfect corpus, in range for any", () => {
    const text = fc.array(fc.constantFrom("A", "dog", "runs.", "l'été", "50%"), { minLength: 4 });
    const corpus = fc.array(
      fc.record({
        hypothesis: text.map((words) => words.join(" ")),
        references: fc.array(
          text.map((words) => words.join(" ")),
          { minLength: 1, maxLength: 3 },
        ),
      }),
      { minLength: 1, maxLength: 5 },
    );
    fc.assert(
      fc.property(corpus, (segments) => {
        const given = segments.map(({ hypothesis }) => hypothesis);
        const { score } = sacreBleu(
          given,
          segments.map((segment) => segment.references),
        );
        expect(score).toBeGreaterThanOrEqual(0);
        expect(score).toBeLessThanOrEqual(100 + 1e-9);
        const perfect = given.map((hypothesis) => [hypothesis]);
        expect(sacreBleu(given, perfect).score).toBeCloseTo(100, 9);
        for (const rows of Object.values(chrfStatistics(given, perfect)))
          expect(chrfOf(sumOf(rows))).toBeCloseTo(100, 9);
      }),
    );
  });
});

describe("chrF", () => {
  it.each([
    ["chrf", 61.48325996520104],
    ["chrf++", 57.3985062129729],
  ] as const)("%s", (kind, expected) => {
    expect(chrfOf(sumOf(chrfStatistics(hypotheses, references)[kind]))).toBeCloseTo(expected, 10);
  });

  it("counts characters, not their halves, and is 0 without any", () => {
    const score = (hypothesis: string, reference: string) =>
      chrfOf(sumOf(chrfStatistics([hypothesis], [[reference]]).chrf));
    expect(score("\u{1F436}", "\u{1F431}")).toBe(0);
    expect(score("", "a dog")).toBe(0);
  });
});

describe("pairedPValue", () => {
  const scores = (texts: readonly string[]) =>
    resampledScores(sacreBleuStatistics(texts, references, {}), (sums) => sacreBleuOf(sums, {}));

  it("is sacreBLEU's", () => {
    const difference = sacreBleu(hypotheses, references).score - sacreBleu(worse, references).score;
    expect(pairedPValue(difference, [scores(worse), scores(hypotheses)])).toBeCloseTo(5 / 1001, 12);
  });

  it("is 1 for a system against itself", () => {
    const same = scores(hypotheses);
    expect(pairedPValue(0, [same, same])).toBe(1);
  });
});

describe.skipIf(!shared)("sacreBLEU on real captions", () => {
  const read = (name: string) => JSON.parse(readFileSync(join(shared!, "goldens/bleu", name), "utf8"));
  const captionsOf = (lang: string) => {
    const pairs = (read("pairs.json").pairs as { lang: string; hyp: string; ref: string }[]).filter(
      (pair) => pair.lang === lang,
    );
    return { given: pairs.map(({ hyp }) => hyp), expected: pairs.map(({ ref }) => [ref]) };
  };

  describe.each(["en", "es", "de", "fr"])("%s", (lang) => {
    const { given, expected } = captionsOf(lang);
    it.each<[string, SacreBleuOptions]>([
      ["sacrebleu_13a", {}],
      ["sacrebleu_13a_lc", { lowercase: true }],
      ["sacrebleu_none", { tokenize: "none" }],
      ["sacrebleu_intl", { tokenize: "intl" }],
      ["sacrebleu_13a_nosmooth", { smoothing: "none" }],
    ])("%s", (name, options) => {
      const golden = read("expected.json")[lang][name];
      const result = sacreBleu(given, expected, options);
      expect(Math.abs(result.score - golden.score)).toBeLessThan(1e-9);
      // The goldens name the commit that is release 2.6.0.
      expect(result.signature).toBe(golden.signature.replace("git-f615c728", "2.6.0"));
      const sums = sumOf(sacreBleuStatistics(given, expected, options));
      expect(sums).toEqual([golden.sys_len, golden.ref_len, ...golden.counts, ...golden.totals]);
    });

    it("each caption alone", () => {
      const golden: number[] = read("expected.json")[lang].sentence_bleu_13a_eff;
      for (const [i, score] of golden.entries())
        expect(Math.abs(sentenceSacreBleu(given[i]!, expected[i]!) - score)).toBeLessThan(1e-9);
    });

    it("interval, chrF and the paired verdict", () => {
      const golden = read("significance.json").languages[lang];
      const { score, signature, mean, interval } = sacreBleuWithInterval(given, expected);
      expect(score).toBeCloseTo(golden.bleu13a, 9);
      expect(signature).toBe(golden.signature);
      expect(mean).toBeCloseTo(golden.bootstrap_mean, 5);
      expect((interval[1] - interval[0]) / 2).toBeCloseTo(golden.bootstrap_ci95, 5);

      const { chrf, "chrf++": plusPlus } = chrfStatistics(given, expected);
      expect(chrfOf(sumOf(chrf))).toBeCloseTo(golden.chrf, 9);
      expect(chrfOf(sumOf(plusPlus))).toBeCloseTo(golden["chrf++"], 9);

      const [, other] = golden.paired.BLEU;
      const scoreOf = (sums: readonly number[]) => sacreBleuOf(sums, {});
      const [mine, theirs] = [given, golden.worse_hypotheses].map((texts) =>
        sacreBleuStatistics(texts, expected, {}),
      ) as [number[][], number[][]];
      const difference = scoreOf(sumOf(mine)) - scoreOf(sumOf(theirs));
      const resampled = [resampledScores(mine, scoreOf), resampledScores(theirs, scoreOf)] as const;
      expect(pairedPValue(difference, resampled)).toBeCloseTo(other.p_value, 12);
      expect(confidenceInterval(resampled[1])).toMatchObject({
        mean: expect.closeTo(other.mean, 5),
        halfWidth: expect.closeTo(other.ci, 5),
      });
    });
  });
});
