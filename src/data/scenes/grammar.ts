/** What a language must say of itself for scenes to be described in it; a file in `grammars/` fills it in. */
import type { Colour, Kind, Relation, Side, Size } from "./vocabulary.js";

export type Gender = "m" | "f" | "n";
export type Case = "nominative" | "dative" | "accusative";

/** A word that never changes, or its form by gender, or by gender and case where the language has cases. */
export type Inflected = string | Readonly<Partial<Record<Gender | `${Gender} ${Case}`, string>>>;

export type WordRole = "kind" | "colour" | "size";

export interface Grammar {
  /** ISO 639-1 code. */
  readonly language: string;
  readonly article: Inflected;
  readonly nouns: Readonly<Record<Kind, readonly [word: string, gender: Gender]>>;
  readonly colours: Readonly<Record<Colour, Inflected>>;
  /** Medium goes unsaid. */
  readonly sizes: Readonly<Record<Exclude<Size, "medium">, Inflected>>;
  /** Order of the words behind the article. */
  readonly order: readonly WordRole[];
  /**
   * Two objects. `{a}` and `{b}` stand for them, `{b.dative}` for the second in that case, `{a.relative}` for the
   * relative pronoun that refers to the first.
   */
  readonly relations: Readonly<Record<Relation, string>>;
  /** A third object `{c}` and where it stands; follows the words for the other two. */
  readonly third: Readonly<Record<Side, string>>;
  readonly relativePronoun?: Inflected;
  /** Words that change before a vowel; one that ends in an apostrophe is written together with the next. */
  readonly beforeVowel?: Readonly<Record<string, string>>;
}
