/** What scenes are made of, and the words' names that grammars put into a language. */

export const KINDS = ["circle", "square", "triangle", "star", "cross", "diamond"] as const;
export type Kind = (typeof KINDS)[number];

/** Eight colours that stay apart under jitter and noise, as 8-bit RGB. */
export const COLOUR_RGB = {
  red: [208, 24, 32],
  green: [28, 148, 56],
  blue: [30, 76, 214],
  yellow: [250, 224, 24],
  orange: [250, 132, 10],
  purple: [150, 40, 170],
  black: [18, 18, 20],
  white: [248, 248, 246],
} as const satisfies Record<string, Rgb>;
export type Colour = keyof typeof COLOUR_RGB;
export const COLOURS = Object.keys(COLOUR_RGB) as readonly Colour[];

/** In ascending order. A medium object's size goes unsaid in captions. */
export const SIZES = ["small", "medium", "large"] as const;
export type Size = (typeof SIZES)[number];

/** How the first object of a caption stands to the second. */
export const RELATIONS = ["left-of", "right-of", "above", "below", "inside", "touching"] as const;
export type Relation = (typeof RELATIONS)[number];

/** Where a third object stands, seen from the other two together. */
export type Side = Extract<Relation, "left-of" | "right-of" | "above" | "below">;

export type Rgb = readonly [red: number, green: number, blue: number];

/** A kind in a colour: what splits hold out. */
export interface Thing {
  readonly kind: Kind;
  readonly colour: Colour;
}
