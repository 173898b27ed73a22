import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { failures, jsonLines, output, run } from "./support/command-line.js";
import { noGpu, softwareGpu } from "./support/software-gpu.js";

const cwd = fileURLToPath(new URL("..", import.meta.url));
const picture = "examples/scene-1.png";

it.skipIf(!softwareGpu)(
  "a GPU, computed by SwiftShader, describes a picture as the processors do",
  async () => {
    const command = ["caption", picture, "--lang", "en,es", "--json", "--attention", "--log-probs"];
    const [got, expected] = await Promise.all([
      output([...command, "--device", "webgpu"], { cwd, env: softwareGpu!, patience: 100_000 }),
      output(command, { cwd }),
    ]).then((outputs) => outputs.map(jsonLines));
    expect(got).toHaveLength(2);
    got!.forEach(({ captions: [caption], ...line }, i) => {
      const { captions, ...rest } = expected![i];
      const { text, tokens, score, attention, logProbs } = captions[0];
      expect({ ...line, text: caption.text, tokens: caption.tokens }).toEqual({ ...rest, text, tokens });
      expect(caption.score).toBeCloseTo(score, 4);
      logProbs.forEach((logProb: number, t: number) => {
        expect(caption.logProbs[t]).toBeCloseTo(logProb, 4);
      });
      attention.flat().forEach((weight: number, place: number) => {
        expect(caption.attention.flat()[place]).toBeCloseTo(weight, 4);
      });
    });
  },
  120_000,
);

describe.skipIf(!noGpu)("a device that is not there", () => {
  it.each(["webgpu", "cuda"])("is refused in a line that says what it takes: %s", async (device) => {
    const { code, stdout, stderr } = await run(["caption", picture, "--device", device], {
      cwd,
      env: noGpu!,
    });
    expect(code).toBe(1);
    expect(stdout).toBe("");
    expect(failures(stderr)).toEqual([
      expect.stringMatching(
        new RegExp(`device ${device} cannot be used: .*driver.*\\(engine-unavailable\\)$`),
      ),
    ]);
  });
});
