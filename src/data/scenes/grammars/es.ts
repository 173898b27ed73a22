import type { Grammar } from "../grammar.js";

export const spanish: Grammar = {
  language: "es",
  article: { m: "un", f: "una" },
  nouns: {
    circle: ["círculo", "m"],
    square: ["cuadrado", "m"],
    triangle: ["triángulo", "m"],
    star: ["estrella", "f"],
    cross: ["cruz", "f"],
    diamond: ["rombo", "m"],
  },
  colours: {
    red: { m: "rojo", f: "roja" },
    green: "verde",
    blue: "azul",
    yellow: { m: "amarillo", f: "amarilla" },
    orange: "naranja",
    purple: { m: "morado", f: "morada" },
    black: { m: "negro", f: "negra" },
    white: { m: "blanco", f: "blanca" },
  },
  // "grande" is cut short before a singular noun.
  sizes: { small: { m: "pequeño", f: "pequeña" }, large: "gran" },
  order: ["size", "kind", "colour"],
  relations: {
    "left-of": "{a} a la izquierda de {b}",
    "right-of": "{a} a la derecha de {b}",
    above: "{a} encima de {b}",
    below: "{a} debajo de {b}",
    inside: "{a} dentro de {b}",
    touching: "{a} que toca {b}",
  },
  third: {
    "left-of": ", con {c} a la izquierda",
    "right-of": ", con {c} a la derecha",
    above: ", con {c} encima",
    below: ", con {c} debajo",
  },
};
