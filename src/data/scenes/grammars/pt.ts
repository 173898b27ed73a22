import type { Grammar } from "../grammar.js";

export const portuguese: Grammar = {
  language: "pt",
  article: { m: "um", f: "uma" },
  nouns: {
    circle: ["círculo", "m"],
    square: ["quadrado", "m"],
    triangle: ["triângulo", "m"],
    star: ["estrela", "f"],
    cross: ["cruz", "f"],
    diamond: ["losango", "m"],
  },
  colours: {
    red: { m: "vermelho", f: "vermelha" },
    green: "verde",
    blue: "azul",
    yellow: { m: "amarelo", f: "amarela" },
    orange: "laranja",
    purple: { m: "roxo", f: "roxa" },
    black: { m: "preto", f: "preta" },
    white: { m: "branco", f: "branca" },
  },
  sizes: { small: { m: "pequeno", f: "pequena" }, large: "grande" },
  order: ["size", "kind", "colour"],
  relations: {
    "left-of": "{a} à esquerda de {b}",
    "right-of": "{a} à direita de {b}",
    above: "{a} acima de {b}",
    below: "{a} abaixo de {b}",
    inside: "{a} dentro de {b}",
    touching: "{a} que toca {b}",
  },
  third: {
    "left-of": ", com {c} à esquerda",
    "right-of": ", com {c} à direita",
    above: ", com {c} acima",
    below: ", com {c} abaixo",
  },
};
