import { describe, expect, it } from "vitest";
import { type Pausable, runAtOnce, runInSlices } from "./pausable.js";

/** Counts to `steps`, half a millisecond a step, and notes every step in `log`. */
function* counting(steps: number, log: string[] = [], name = ""): Pausable<number> {
  for (let step = 0; step < steps; step++) {
    const end = performance.now() + 0.5;
    while (performance.now() < end);
    log.push(name);
    yield;
  }
  return steps;
}

function* failing(): Pausable<never> {
  yield;
  throw new Error("broken");
}

describe("a pausable work", () => {
  it("gives its result at once and in slices", async () => {
    expect(runAtOnce(counting(3))).toBe(3);
    expect(await runInSlices(counting(30))).toBe(30);
  });

  it("lets the event loop run every few milliseconds, however many are at work", async () => {
    let longest = 0;
    let last = performance.now();
    const timer = setInterval(() => {
      longest = Math.max(longest, performance.now() - last);
      last = performance.now();
    }, 1);
    const log: string[] = [];
    await Promise.all(["a", "b", "c", "d", "e", "f"].map((name) => runInSlices(counting(60, log, name))));
    clearInterval(timer);
    expect(log.length).toBe(360);
    expect(longest).toBeLessThan(40); // All at once take 180 ms.
    // None waits for another's end.
    expect(log.indexOf("f")).toBeLessThan(log.lastIndexOf("a"));
  });

  it("that fails is out of the others' way", async () => {
    const [failed, fine] = await Promise.allSettled([runInSlices(failing()), runInSlices(counting(5))]);
    expect(failed).toMatchObject({ status: "rejected", reason: { message: "broken" } });
    expect(fine).toMatchObject({ status: "fulfilled", value: 5 });
  });
});
