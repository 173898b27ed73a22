import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Captioner } from "./captioner.js";
import { loadCaptioner } from "./load-captioner.js";

const shared = process.env.LINGOLENS_SHARED;
const golden = join(shared ?? "", "goldens/tiny-e2e");

/** A case of tiny-e2e/expected.json: what transformers 5.18 writes for a picture in a language. */
interface GoldenCase {
  readonly image: string;
  readonly lang: string;
  readonly params: {
    readonly num_beams: number;
    readonly max_length: number;
    readonly length_penalty?: number;
    readonly early_stopping?: boolean | "never";
    readonly no_repeat_ngram_size?: number;
    readonly num_return_sequences?: number;
  };
  readonly sequences: number[][];
  readonly texts: string[];
  readonly scores: number[] | null;
  readonly greedy_mean_logprob?: number;
  readonly same_tokens_with_u8_noise_1: boolean;
}

function captionOptions({ lang, params, ...rest }: GoldenCase) {
  const {
    num_beams,
    max_length,
    length_penalty,
    early_stopping,
    no_repeat_ngram_size,
    num_return_sequences,
  } = params;
  const used = ["num_beams", "max_length", "length_penalty", "early_stopping", "no_repeat_ngram_size"];
  const known = [...used, "num_return_sequences", "forced_bos_token_id"];
  expect(
    Object.keys(params).filter((name) => !known.includes(name)),
    rest.image,
  ).toEqual([]);
  return {
    lang,
    ignoreExif: true,
    beams: num_beams,
    maxLength: max_length,
    ...(length_penalty !== undefined && { lengthPenalty: length_penalty }),
    ...(early_stopping !== undefined && { earlyStopping: early_stopping }),
    ...(no_repeat_ngram_size !== undefined && { noRepeatNgramSize: no_repeat_ngram_size }),
    ...(num_return_sequences !== undefined && { numCaptions: num_return_sequences }),
  };
}

describe.skipIf(!shared).each(["form2-safetensors", "form3-hf-ved", "form3b-hf-ved-4x-names"])(
  "%s: from picture to text as transformers 5.18",
  (form) => {
    let captioner: Captioner;
    let cases: GoldenCase[];
    let taught: { image: string; lang: string; caption: string; labels: number[]; mean_nll: number }[];
    beforeAll(async () => {
      const expected = JSON.parse(await readFile(join(golden, "expected.json"), "utf8"));
      cases = expected.cases;
      taught = expected.teacher_forced;
      captioner = await loadCaptioner({ model: join(golden, form) });
    });
    afterAll(() => captioner.close());

    async function check(one: GoldenCase, path: string): Promise<void> {
      const [result] = await captioner.caption(path, captionOptions(one));
      const name = `${one.image} ${one.lang} ${JSON.stringify(one.params)}`;
      if (!result || "error" in result) throw new Error(`${name}: ${JSON.stringify(result)}`);
      expect(result.lang).toBe(one.lang);
      expect(
        result.captions.map(({ tokens }) => tokens),
        name,
      ).toEqual(one.sequences);
      expect(
        result.captions.map(({ text }) => text),
        name,
      ).toEqual(one.texts);
      const scores = one.scores ?? [one.greedy_mean_logprob!];
      result.captions.forEach(({ score }, i) => {
        expect(Math.abs(score - scores[i]!), name).toBeLessThanOrEqual(1e-4 * Math.abs(scores[i]!));
      });
    }

    it("from the cropped pixels: every token, text and score", async () => {
      for (const one of cases) await check(one, join(golden, "crops", `${one.image}.png`));
      expect(cases.length).toBe(240);
    });

    it("from the picture files, where no decoder's rounding can change a token", async () => {
      const stable = cases.filter((one) => one.same_tokens_with_u8_noise_1);
      for (const one of stable) {
        const [result] = await captioner.caption(join(golden, "images", one.image), captionOptions(one));
        if (!result || "error" in result) throw new Error(one.image);
        expect(
          result.captions.map(({ tokens }) => tokens),
          one.image,
        ).toEqual(one.sequences);
      }
      expect(stable.length).toBe(229);
    });

    it("scores given captions", async () => {
      for (const { image, lang, caption, labels, mean_nll } of taught) {
        const crop = join(golden, "crops", `${image}.png`);
        // Beside a longer caption, so that padding is at work.
        const [score] = await captioner.score(crop, [
          { lang, caption },
          { lang, caption: `${caption} ${caption}` },
        ]);
        expect(score!.tokens).toEqual(labels);
        expect(Math.abs(score!.nll - mean_nll)).toBeLessThanOrEqual(1e-4 * mean_nll);
      }
    });
  },
);
