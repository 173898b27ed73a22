import type { Grammar } from "../grammar.js";

export const english: Grammar = {
  language: "en",
  article: "a",
  nouns: {
    circle: ["circle", "n"],
    square: ["square", "n"],
    triangle: ["triangle", "n"],
    star: ["star", "n"],
    cross: ["cross", "n"],
    diamond: ["diamond", "n"],
  },
  colours: {
    red: "red",
    green: "green",
    blue: "blue",
    yellow: "yellow",
    orange: "orange",
    purple: "purple",
    black: "black",
    white: "white",
  },
  sizes: { small: "small", large: "large" },
  order: ["size", "colour", "kind"],
  relations: {
    "left-of": "{a} to the left of {b}",
    "right-of": "{a} to the right of {b}",
    above: "{a} above {b}",
    below: "{a} below {b}",
    inside: "{a} inside {b}",
    touching: "{a} touching {b}",
  },
  third: {
    "left-of": ", with {c} to the left",
    "right-of": ", with {c} to the right",
    above: ", with {c} above",
    below: ", with {c} below",
  },
  beforeVowel: { a: "an" },
};
