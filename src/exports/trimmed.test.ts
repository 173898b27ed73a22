import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { writeChangedModel } from "../../test/support/changed-model.js";
import { temporaryFolder, tinyLanguages, writeTinyCaptioner } from "../../test/support/tiny-captioner.js";
import type { CaptionResult } from "../captioner/captioner.js";
import { loadCaptioner } from "../captioner/load-captioner.js";
import type { CaptionOptions } from "../captioner/options.js";
import { loadTokenizerFolder } from "../text/tokenizer-folder.js";
import { trimTokenizer } from "../text/trim-tokenizer.js";
import { openModelFolder } from "../weights/model-folder.js";
import { exportTrimmed, type TrimmedOptions } from "./trimmed.js";

const shared = process.env.LINGOLENS_SHARED;
const scenes = [1, 2, 3].map((n) => fileURLToPath(new URL(`../../examples/scene-${n}.png`, import.meta.url)));
const texts = [
  "a small red circle above a blue star",
  "ein roter Kreis",
  "un cercle rouge",
  "una estrella azul",
];
let temporary: Awaited<ReturnType<typeof temporaryFolder>>;
let tiny: string;
let corpus: string;

beforeAll(async () => {
  temporary = await temporaryFolder();
  tiny = join(temporary.path, "tiny");
  corpus = join(temporary.path, "corpus.txt");
  await writeTinyCaptioner(tiny);
  await writeFile(corpus, texts.map((text) => `${text}\n`).join(""));
});
afterAll(() => temporary.remove());

async function trimmed(
  from: string,
  name: string,
  options: Partial<TrimmedOptions> = {},
): Promise<{ out: string; notices: string[] }> {
  const out = join(temporary.path, name);
  const notices: string[] = [];
  await mkdir(out);
  await exportTrimmed(await openModelFolder(from), out, {
    languages: ["all"],
    corpus: [corpus],
    onNotice: (line) => notices.push(line),
    ...options,
  });
  return { out, notices };
}

async function captions(model: string, images: readonly string[], options: CaptionOptions) {
  const captioner = await loadCaptioner({ model });
  try {
    return (await captioner.caption(images, options)).map((result: CaptionResult) => {
      if (!("captions" in result)) throw new Error(result.error.message);
      return { lang: result.lang, ...result.captions[0]! };
    });
  } finally {
    await captioner.close();
  }
}

describe("exportTrimmed", () => {
  it("gives the same captions and scores where the tokens that are gone were never likely", async () => {
    const tokenizer = await loadTokenizerFolder(tiny);
    const { fullIds } = await trimTokenizer(tokenizer, { texts: () => texts, languages: tinyLanguages });
    const never = join(temporary.path, "never");
    await writeChangedModel(tiny, never, {
      parameter: (name, values) =>
        name === "final_logits_bias"
          ? values.map((value, id) => (fullIds.includes(id) ? value : value - 50))
          : values,
    });
    const { out } = await trimmed(never, "never-trimmed");
    expect((await openModelFolder(out)).config.decoder.vocabularySize).toBe(fullIds.length);
    const options = { lang: tinyLanguages, beams: 3, maxLength: 20 };
    const [before, after] = [await captions(never, scenes, options), await captions(out, scenes, options)];
    for (const [i, { tokens, score, text }] of after.entries()) {
      expect(tokens.map((id) => fullIds[id])).toEqual(before[i]!.tokens);
      expect(score).toBeCloseTo(before[i]!.score, 5);
      expect(text).toBe(before[i]!.text);
    }
  });

  it("cuts the corpus as before, id by id", async () => {
    const { out, notices } = await trimmed(tiny, "ids");
    const [full, small] = [await loadTokenizerFolder(tiny), await loadTokenizerFolder(out)];
    for (const text of texts)
      expect(small.tokens(small.encode(text, "en"))).toEqual(full.tokens(full.encode(text, "en")));
    expect(notices).toEqual([expect.stringMatching(/of 341 tokens are kept; all of 4 texts/)]);
  });

  it("keeps the rows of the tokens that it keeps, and every other weight", async () => {
    const { out } = await trimmed(tiny, "rows", { languages: ["en"], vocabularySize: 200 });
    const [before, after] = [await openModelFolder(tiny), await openModelFolder(out)];
    const [full, small] = [await loadTokenizerFolder(tiny), await loadTokenizerFolder(out)];
    expect(small.vocabularySize).toBe(200);
    const width = before.config.decoder.hiddenSize;
    const read = (folder: typeof before, name: string) => folder.weights.get(name)!.read();
    const [big, little] = [
      await read(before, "model.shared.weight"),
      await read(after, "model.shared.weight"),
    ];
    const [bias, littleBias] = [
      await read(before, "final_logits_bias"),
      await read(after, "final_logits_bias"),
    ];
    for (const [id, piece] of small.definition.pieces.entries()) {
      const old = full.definition.pieces.indexOf(piece);
      expect(little.subarray(id * width, (id + 1) * width)).toEqual(
        big.subarray(old * width, (old + 1) * width),
      );
      expect(littleBias[id]).toBe(bias[old]);
    }
    for (const name of before.weights.keys()) {
      if (name === "model.shared.weight" || name === "final_logits_bias") continue;
      expect(await read(after, name)).toEqual(await read(before, name));
    }
  });

  it("gives the special ids of the settings their new numbers", async () => {
    const full = await loadTokenizerFolder(tiny);
    const from = join(temporary.path, "german");
    await writeChangedModel(tiny, from, {
      config: (config) => ({ ...config, ids: { ...config.ids, decoderStart: full.languageId("de") } }),
      generationConfig: { forced_eos_token_id: 2, forced_bos_token_id: full.languageId("en"), num_beams: 4 },
    });
    const { out } = await trimmed(from, "german-trimmed", { languages: ["de", "en"] });
    const [small, folder] = [await loadTokenizerFolder(out), await openModelFolder(out)];
    expect(folder.config.ids.decoderStart).toBe(small.languageId("de"));
    expect(folder.generationConfig).toMatchObject({
      forced_eos_token_id: 2,
      forced_bos_token_id: small.languageId("en"),
      num_beams: 4,
    });
    await expect(trimmed(from, "without", { languages: ["en"] })).rejects.toMatchObject({
      code: "option-unsupported",
      message: expect.stringContaining("decoder_start_token_id"),
    });
  });

  it("stops when cancelled, in the corpus too", async () => {
    const signal = AbortSignal.abort();
    await expect(trimmed(tiny, "cancelled", { signal })).rejects.toMatchObject({ code: "cancelled" });
  });

  it("names a corpus that is not there", async () => {
    await expect(trimmed(tiny, "missing", { corpus: ["no-corpus.txt"] })).rejects.toMatchObject({
      code: "file-not-found",
      message: expect.stringContaining("no-corpus.txt"),
    });
  });

  it.skipIf(!shared)("keeps the greedy captions of a trained model that consist of kept tokens", async () => {
    const root = join(shared!, "goldens/tiny-e2e");
    const crops = (await readdir(join(root, "crops"))).map((name) => join(root, "crops", name));
    const from = join(root, "form2-safetensors");
    const options = { lang: ["en", "de"], beams: 1, maxLength: 24 };
    const before = await captions(from, crops, options);
    const lines = join(temporary.path, "lines.txt");
    await writeFile(lines, before.map(({ text }) => `${text}\n`).join(""));
    const { out } = await trimmed(from, "e2e", { languages: ["en", "de"], corpus: [lines] });
    const [full, small] = [await loadTokenizerFolder(from), await loadTokenizerFolder(out)];
    expect(small.vocabularySize).toBeLessThan(300);
    const kept = new Set(small.definition.pieces);
    let compared = 0;
    for (const [i, { tokens, text, score }] of (await captions(out, crops, options)).entries()) {
      const wanted = full.tokens(before[i]!.tokens);
      // The text of a caption may be cut into other pieces than the model wrote it in.
      if (!wanted.every((piece) => kept.has(piece))) continue;
      compared++;
      expect(small.tokens(tokens)).toEqual(wanted);
      expect(text).toBe(before[i]!.text);
      // What the tokens that are gone had of the probabilities, the others have now.
      expect(score).toBeGreaterThan(before[i]!.score);
    }
    expect(compared).toBeGreaterThan(15);
  });
});
