import { afterAll, beforeAll, expect, it } from "vitest";
import { maxAbsolute, maxAbsoluteDifference } from "../../../test/support/tiny-model.js";
import { config, pictures } from "../../../test/support/tiny-pictures.js";
import { compileProgram } from "../../engine/compile.js";
import type { Engine } from "../../engine/engine.js";
import { createNativeEngine } from "../../engine/native.js";
import { initializeParameters } from "../../model/initialize.js";
import { EMBEDDING, HEAD_BIAS } from "../../model/mbart-decoder.js";
import { parameterShapes } from "../../weights/parameter-shapes.js";
import { makeBatch } from "../batch.js";
import { GradientProgram, lossTargets, targetFeeds } from "../gradient-program.js";
import { allocateTraining, fillTensor } from "../parameters.js";
import { gradientName } from "../train-program.js";
import { residentTrainProgram, rowFeeds } from "./resident-program.js";

let engine: Engine;
beforeAll(async () => {
  engine = await createNativeEngine();
});
afterAll(() => engine.close());

const shapes = parameterShapes(config);
const all = [...shapes.keys()];

it.each([
  ["of all parameters", all, 0, false],
  ["with smoothing, and scores computed again", all, 0.1, true],
  ["without the embedding", all.filter((name) => name !== EMBEDDING), 0.1, false],
  ["without the head's bias", all.filter((name) => name !== HEAD_BIAS), 0, false],
  ["of the head's bias alone", [HEAD_BIAS], 0, false],
] as const)(
  "is the gradient %s that processors complete outside of the program",
  async (_, names, labelSmoothing, recompute) => {
    const trainable = new Set(names);
    const memory = allocateTraining(shapes, new Map([...shapes].filter(([name]) => trainable.has(name))));
    for (const [name, values] of initializeParameters(config, shapes, 1))
      fillTensor(memory.parameters, name, values);
    // Inputs that are no labels as well, and tokens that many have.
    const batch = makeBatch(pictures, config, 9);

    const dropout = { dropout: 0, inputDropout: 0, maskId: 0 };
    const maxTokens = recompute ? 2 ** 40 : 1;
    const program = await GradientProgram.compile(engine, config, {
      ...dropout,
      ...{ trainable, labelSmoothing, maxTokens },
    });
    const place = { seed: 1, step: 0, firstPicture: 0 };
    const { lossSum } = await program.run(memory.parameters, batch, place, memory.gradients);

    const resident = await compileProgram(
      engine,
      residentTrainProgram(config, trainable, { labelSmoothing, recompute }),
    );
    const targets = lossTargets(batch, config.ids.pad);
    const { losses, ...gradients } = await resident.run({
      ...memory.parameters.tensors,
      ...batch,
      ...targetFeeds(targets),
      ...rowFeeds(batch.decoderInputIds, targets),
    });
    const sum = (losses!.data as Float32Array).reduce((a, b) => a + b, 0);
    expect(sum / lossSum).toBeCloseTo(1, 5);
    for (const [name, { data }] of Object.entries(memory.gradients.tensors)) {
      const got = gradients[gradientName(name)];
      if (!got) expect(maxAbsolute(data), name).toBe(0);
      else
        expect(maxAbsoluteDifference(got.data as Float32Array, data), name).toBeLessThanOrEqual(
          1e-6 + 1e-5 * maxAbsolute(data),
        );
    }
    await Promise.all([program.close(), resident.close()]);
  },
);
