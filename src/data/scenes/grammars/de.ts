import type { Grammar, Inflected } from "../grammar.js";

/** An adjective behind "ein" (mixed declension, singular), from its stem. */
function adjective(stem: string): Inflected {
  return {
    "m nominative": `${stem}er`,
    "f nominative": `${stem}e`,
    "n nominative": `${stem}es`,
    "m accusative": `${stem}en`,
    "f accusative": `${stem}e`,
    "n accusative": `${stem}es`,
    "m dative": `${stem}en`,
    "f dative": `${stem}en`,
    "n dative": `${stem}en`,
  };
}

export const german: Grammar = {
  language: "de",
  article: {
    "m nominative": "ein",
    "f nominative": "eine",
    "n nominative": "ein",
    "m accusative": "einen",
    "f accusative": "eine",
    "n accusative": "ein",
    "m dative": "einem",
    "f dative": "einer",
    "n dative": "einem",
  },
  nouns: {
    circle: ["Kreis", "m"],
    square: ["Quadrat", "n"],
    triangle: ["Dreieck", "n"],
    star: ["Stern", "m"],
    cross: ["Kreuz", "n"],
    diamond: ["Raute", "f"],
  },
  colours: {
    red: adjective("rot"),
    green: adjective("grün"),
    blue: adjective("blau"),
    yellow: adjective("gelb"),
    // "orange" itself does not inflect in the standard language.
    orange: adjective("orangefarben"),
    purple: adjective("violett"),
    black: adjective("schwarz"),
    white: adjective("weiß"),
  },
  sizes: { small: adjective("klein"), large: adjective("groß") },
  order: ["size", "colour", "kind"],
  relations: {
    "left-of": "{a} links von {b.dative}",
    "right-of": "{a} rechts von {b.dative}",
    above: "{a} über {b.dative}",
    below: "{a} unter {b.dative}",
    inside: "{a} in {b.dative}",
    touching: "{a} , {a.relative} {b.accusative} berührt",
  },
  third: {
    "left-of": ", links daneben {c}",
    "right-of": ", rechts daneben {c}",
    above: ", darüber {c}",
    below: ", darunter {c}",
  },
  relativePronoun: { m: "der", f: "die", n: "das" },
};
