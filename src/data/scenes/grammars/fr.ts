import type { Grammar } from "../grammar.js";

export const french: Grammar = {
  language: "fr",
  article: { m: "un", f: "une" },
  nouns: {
    circle: ["cercle", "m"],
    square: ["carré", "m"],
    triangle: ["triangle", "m"],
    star: ["étoile", "f"],
    cross: ["croix", "f"],
    diamond: ["losange", "m"],
  },
  colours: {
    red: "rouge",
    green: { m: "vert", f: "verte" },
    blue: { m: "bleu", f: "bleue" },
    yellow: "jaune",
    orange: "orange",
    purple: { m: "violet", f: "violette" },
    black: { m: "noir", f: "noire" },
    white: { m: "blanc", f: "blanche" },
  },
  sizes: { small: { m: "petit", f: "petite" }, large: { m: "grand", f: "grande" } },
  order: ["size", "kind", "colour"],
  relations: {
    "left-of": "{a} à gauche de {b}",
    "right-of": "{a} à droite de {b}",
    above: "{a} au-dessus de {b}",
    below: "{a} en dessous de {b}",
    inside: "{a} dans {b}",
    touching: "{a} qui touche {b}",
  },
  third: {
    "left-of": ", avec {c} à gauche",
    "right-of": ", avec {c} à droite",
    above: ", avec {c} au-dessus",
    below: ", avec {c} en dessous",
  },
  beforeVowel: { de: "d'" },
};
