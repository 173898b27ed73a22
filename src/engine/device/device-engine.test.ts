import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { hostDevice } from "../../../test/support/host-device.js";
import { add, input, multiply, sum } from "../../graph/index.js";
import { compileProgram } from "../compile.js";
import type { HostTensor } from "../engine.js";
import type { DeviceEngine } from "./device-engine.js";

let device: DeviceEngine;
beforeAll(async () => {
  device = await hostDevice();
});
afterAll(() => device.close());

const floats = (...values: number[]): HostTensor => ({
  dtype: "float32",
  shape: [values.length],
  data: Float32Array.from(values),
});
const code = (expected: string) => expect.objectContaining({ name: "LingolensError", code: expected });

/** a + b and its sum. */
function sums() {
  const both = add(input("a", "float32", ["n"]), input("b", "float32", ["n"]));
  return { outputs: { both, total: sum(both) } };
}

it("gives back what was put on the device, of any shape", async () => {
  const shapes = fc.array(fc.integer({ min: 1, max: 4 }), { maxLength: 4 });
  await fc.assert(
    fc.asyncProperty(shapes, fc.infiniteStream(fc.float()), async (shape, values) => {
      const count = shape.reduce((a, b) => a * b, 1);
      const data = Float32Array.from([...values.take(count)]);
      const tensor = await device.upload({ dtype: "float32", shape, data });
      expect(tensor.shape).toEqual(shape);
      const back = new Float32Array(count);
      await device.download(tensor, back);
      expect(back).toEqual(data);
      await device.release([tensor]);
    }),
    { numRuns: 50 },
  );
});

describe("a resident program", () => {
  it("leaves its results to the next run and brings home what is asked for", async () => {
    const program = await device.compileResident(sums());
    const b = await device.upload(floats(1, 2, 3));
    let a = await device.upload(floats(0, 0, 0));
    const { total } = program.memoryFor({ a, b }, ["total"]);
    for (let run = 1; run <= 4; run++) {
      const { both, total: stayed } = await program.run({ a, b }, { total: total! });
      expect(stayed).toBeUndefined();
      expect(total!.data[0]).toBe(6 * run);
      await device.release([a]);
      a = both!;
    }
    const last = new Float32Array(3);
    await device.download(a, last);
    expect([...last]).toEqual([4, 8, 12]);
    await program.close();
  });

  it("takes tensors of the caller beside those of the device", async () => {
    const program = await device.compileResident(sums());
    const a = await device.upload(floats(1, 2));
    const both = floats(0, 0);
    await program.run({ a, b: floats(10, 20) }, { both });
    expect([...both.data]).toEqual([11, 22]);
    await program.close();
  });

  it("may be asked for a run while another goes on", async () => {
    const program = await device.compileResident(sums());
    const totals = Array.from({ length: 20 }, () => ({ ...floats(0), shape: [] }));
    await Promise.all(totals.map((total, i) => program.run({ a: floats(i, i), b: floats(1, 1) }, { total })));
    expect(totals.map(({ data }) => data[0])).toEqual(totals.map((_, i) => 2 * i + 2));
    await program.close();
  });

  it("refuses what does not fit, and every run once it is closed", async () => {
    const program = await device.compileResident(sums());
    const a = await device.upload(floats(1, 2));
    await expect(program.run({ a, b: a }, { both: floats(0) })).rejects.toEqual(code("shape-mismatch"));
    await expect(program.run({ a })).rejects.toEqual(code("shape-mismatch"));
    await expect(program.run({ a, b: floats(1, 2, 3) })).rejects.toEqual(code("shape-mismatch"));
    await expect(program.run({ a, b: { ...floats(1), shape: [2] } })).rejects.toEqual(code("shape-mismatch"));
    await program.close();
    await expect(program.run({ a, b: a })).rejects.toEqual(code("handle-closed"));
  });
});

it("is an engine like any other, too", async () => {
  const x = input("x", "float32", ["n"]);
  const program = await compileProgram(device, { outputs: { y: multiply(x, 2) } });
  const { y } = await program.run({ x: floats(1, 2, 3) });
  expect([...(y!.data as Float32Array)]).toEqual([2, 4, 6]);
  await program.close();
});

it("takes no more programs once it is closed", async () => {
  const engine = await hostDevice();
  await engine.close();
  await expect(engine.compileResident(sums())).rejects.toEqual(code("handle-closed"));
});
