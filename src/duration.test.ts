import { expect, it } from "vitest";
import { duration } from "./duration.js";

it.each([
  [0, "0 s"],
  [59.4, "59 s"],
  [60, "1 min"],
  [3570, "1 h 0 min"],
  [7199, "2 h 0 min"],
  [11_100, "3 h 5 min"],
])("%d seconds are %s", (seconds, text) => {
  expect(duration(seconds)).toBe(text);
});
