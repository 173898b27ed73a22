import { performance } from "node:perf_hooks";
import { describe, expect, it } from "vitest";
import { clientAddress, givenKey, keyChecker, RateLimiter } from "./clients.js";

describe("keys", () => {
  it("are right in full only", () => {
    const isKey = keyChecker(["alpha", "beta"]);
    expect(["alpha", "beta", "alph", "alphaa", "ALPHA", "", undefined].map(isKey)).toEqual([
      ...[true, true],
      ...[false, false, false, false, false],
    ]);
    expect(keyChecker([])("")).toBe(false);
  });

  it("take as long to compare whatever is right of them", () => {
    const key = "k".repeat(4096);
    const isKey = keyChecker([key]);
    const guesses = { none: "x".repeat(4096), most: `${"k".repeat(4095)}x` };
    const times: Record<keyof typeof guesses, number[]> = { none: [], most: [] };
    for (let round = 0; round < 4000; round++)
      for (const name of ["none", "most"] as const) {
        const since = performance.now();
        isKey(guesses[name]);
        times[name].push(performance.now() - since);
      }
    const median = (list: number[]) => list.toSorted((a, b) => a - b)[list.length / 2]!;
    const ratio = median(times.most) / median(times.none);
    expect(ratio).toBeGreaterThan(0.8);
    expect(ratio).toBeLessThan(1.25);
  });

  it("are found in either header", () => {
    expect(givenKey("Bearer abc")).toBe("abc");
    expect(givenKey("bearer  abc ")).toBe("abc");
    expect(givenKey("Basic abc", "def")).toBe("def");
    expect(givenKey(undefined, "def")).toBe("def");
    expect(givenKey()).toBeUndefined();
  });
});

describe("clientAddress", () => {
  it.each([
    ["127.0.0.1", undefined, false, "127.0.0.1"],
    ["::ffff:192.0.2.7", undefined, false, "192.0.2.7"],
    ["2001:db8:1:2:3:4:5:6", undefined, false, "2001:db8:1:2::/64"],
    ["2001:db8::5", undefined, false, "2001:db8:0:0::/64"],
    ["::1", undefined, false, "0:0:0:0::/64"],
    ["fe80::1%eth0", undefined, false, "fe80:0:0:0::/64"],
    ["10.0.0.1", "198.51.100.1", false, "10.0.0.1"],
    ["10.0.0.1", "6.6.6.6, 198.51.100.1", true, "198.51.100.1"],
    ["10.0.0.1", undefined, true, "10.0.0.1"],
    [undefined, undefined, false, "unknown"],
  ])("%s, forwarded for %s, trusted %s: %s", (remote, forwarded, trust, expected) => {
    expect(clientAddress(remote, forwarded, trust)).toBe(expected);
  });
});

describe("RateLimiter", () => {
  it("lets through as many a minute, and says how long to wait", () => {
    let now = 0;
    const limiter = new RateLimiter(3, () => now);
    const ask = () => {
      try {
        limiter.take("a");
        return "ok";
      } catch (error) {
        return (error as { headers: Record<string, string> }).headers["retry-after"];
      }
    };
    expect([ask(), ask(), ask(), ask()]).toEqual(["ok", "ok", "ok", "20"]);
    now += 15_000;
    expect(ask()).toBe("5");
    now += 5_000;
    expect([ask(), ask()]).toEqual(["ok", "20"]);
    limiter.take("b");
    now += 120_000;
    expect([ask(), ask(), ask(), ask()]).toEqual(["ok", "ok", "ok", "20"]);
  });
});
