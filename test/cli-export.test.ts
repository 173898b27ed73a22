import { mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { failures, output, run } from "./support/command-line.js";
import { temporaryFolder } from "./support/tiny-captioner.js";

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let cwd: string;
beforeAll(async () => {
  folder = await temporaryFolder();
  cwd = folder.path;
  await writeFile(join(cwd, "empty.txt"), "");
  await writeFile(join(cwd, "empty.txt"), "");
});
afterAll(() => folder.remove());

describe("export --to huggingface", () => {
  it("writes a folder and says where, notes on stderr", async () => {
    const { code, stdout, stderr } = await run(["export", "--to", "huggingface", "--out", "hf", "--json"], {
      cwd,
    });
    expect(code, stderr).toBe(0);
    expect(JSON.parse(stdout)).toEqual({ to: "huggingface", out: "hf" });
    expect(stderr).toContain("Note: final_logits_bias is not zero");
    const { model_type } = JSON.parse(await readFile(join(cwd, "hf/config.json"), "utf8"));
    expect(model_type).toBe("vision-encoder-decoder");
  });

  it("takes the place of an empty folder, and of no other", async () => {
    await mkdir(join(cwd, "empty"));
    await output(["export", "--to", "huggingface", "--dtype", "bf16", "--out", "empty"], { cwd });
    const before = await readdir(join(cwd, "empty"));
    const { code, stderr } = await run(["export", "--to", "huggingface", "--out", "empty"], { cwd });
    expect(code).toBe(1);
    expect(failures(stderr)).toEqual([expect.stringMatching(/^lingolens: empty: .*\(already-exists\)$/)]);
    expect(await readdir(join(cwd, "empty"))).toEqual(before);
    await writeFile(join(cwd, "file"), "");
    expect((await run(["export", "--to", "huggingface", "--out", "file"], { cwd })).code).toBe(1);
  });

  it("leaves nothing behind where it fails", async () => {
    const { code } = await run(["export", "--model", "no-model", "--to", "huggingface", "--out", "none"], {
      cwd,
    });
    expect(code).toBe(1);
    expect((await readdir(cwd)).filter((name) => name.includes("none"))).toEqual([]);
  });
});

describe("export --to onnx and flax", () => {
  it.each([
    ["onnx", "onnx/decoder_model_merged.onnx_data"],
    ["flax", "flax_model.msgpack"],
  ])("writes a folder of %s", async (form, file) => {
    const { code, stderr } = await run(["export", "--to", form, "--out", form], { cwd });
    expect(code, stderr).toBe(0);
    expect((await stat(join(cwd, form, file))).size).toBeGreaterThan(1e6);
  });
});

describe("export --to trimmed", () => {
  it("keeps what a corpus of lines and datasets needs, in the languages asked for", async () => {
    await output(["data", "scenes", "--count", "20", "--seed", "3", "--out", "scenes"], { cwd });
    await writeFile(join(cwd, "lines.txt"), "a red circle\r\n\nzwei Kreise\n");
    const args = ["export", "--to", "trimmed", "--lang", "en,de", "--corpus", "lines.txt", "scenes"];
    const { code, stdout, stderr } = await run([...args, "--out", "small"], { cwd });
    expect(code, stderr).toBe(0);
    expect(stdout).toBe("Done: the trimmed form is in small\n");
    expect(stderr).toMatch(/Note: \d+ of 341 tokens are kept; all of 42 texts are cut into tokens as before/);
    const lang = ["--lang", "en,de"];
    const picture = ["caption", "scenes/images/000001.png", ...lang];
    const before = await output(picture, { cwd });
    expect(await output([...picture, "--model", "small"], { cwd })).toBe(before);
    const french = await run(["caption", "scenes/images/000001.png", "--lang", "fr", "--model", "small"], {
      cwd,
    });
    expect(french.code).toBe(2);
  });
});

describe("wrong use of export", () => {
  it.each([
    ["no form", ["export", "--out", "x"], "--to"],
    ["an unknown form", ["export", "--to", "tflite", "--out", "x"], "huggingface"],
    ["no folder", ["export", "--to", "huggingface"], "--out"],
    [
      "an option of another form",
      ["export", "--to", "huggingface", "--lang", "en", "--out", "x"],
      "--lang does nothing for --to huggingface; it belongs to --to trimmed",
    ],
    [
      "a type that the form does not have",
      ["export", "--to", "onnx", "--dtype", "bf16", "--out", "x"],
      "bf16 is not supported for --to onnx",
    ],
    ["no corpus", ["export", "--to", "trimmed", "--lang", "en", "--out", "x"], "needs --corpus"],
    [
      "a language that the model does not speak",
      ["export", "--to", "trimmed", "--lang", "nl", "--corpus", "x.txt", "--out", "x"],
      "Dutch",
    ],
    [
      "a vocabulary that is too small",
      [
        "export",
        "--to",
        "trimmed",
        "--lang",
        "en",
        "--corpus",
        "empty.txt",
        "--vocabulary-size",
        "9",
        "--out",
        "x",
      ],
      "leaves room for 3 pieces",
    ],
    [
      "an unknown type",
      ["export", "--to", "huggingface", "--dtype", "int4", "--out", "x"],
      "fp32, fp16, bf16",
    ],
  ])("%s ends with 2 and says what is wrong", async (_, args, words) => {
    const { code, stdout, stderr } = await run(args, { cwd });
    expect(code).toBe(2);
    expect(stdout).toBe("");
    expect(stderr).toContain(words);
  });
});
