import type { Grammar } from "../grammar.js";

export const italian: Grammar = {
  language: "it",
  article: { m: "un", f: "una" },
  nouns: {
    circle: ["cerchio", "m"],
    square: ["quadrato", "m"],
    triangle: ["triangolo", "m"],
    star: ["stella", "f"],
    cross: ["croce", "f"],
    diamond: ["rombo", "m"],
  },
  colours: {
    red: { m: "rosso", f: "rossa" },
    green: "verde",
    blue: "blu",
    yellow: { m: "giallo", f: "gialla" },
    orange: "arancione",
    purple: "viola",
    black: { m: "nero", f: "nera" },
    white: { m: "bianco", f: "bianca" },
  },
  sizes: { small: { m: "piccolo", f: "piccola" }, large: "grande" },
  order: ["size", "kind", "colour"],
  relations: {
    "left-of": "{a} a sinistra di {b}",
    "right-of": "{a} a destra di {b}",
    above: "{a} sopra {b}",
    below: "{a} sotto {b}",
    inside: "{a} dentro {b}",
    touching: "{a} che tocca {b}",
  },
  third: {
    "left-of": ", con {c} a sinistra",
    "right-of": ", con {c} a destra",
    above: ", con {c} sopra",
    below: ", con {c} sotto",
  },
};
