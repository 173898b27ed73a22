/** How languages speak of a person whose name is masked. */

export interface PersonWords {
  readonly one: string;
  readonly two: string;
  /** More than two. */
  readonly many: string;
  /** Words that join persons to a list, as a pattern. */
  readonly and: string;
  /** What a genitive's ending becomes. */
  readonly genitive: string;
  /** Instead of `one`, with a genitive's ending. Default: `one`. */
  readonly genitiveOne?: string;
  /** What some words and the one person behind them become together: articles, and prepositions that ask for a case. */
  readonly after: Readonly<Record<string, string>>;
  /** Words that are left out with the persons whom they join to a caption. */
  readonly joins: readonly string[];
}

/** By a language's ISO code. */
export const personWords: Readonly<Record<string, PersonWords>> = {
  en: {
    one: "a person",
    two: "two people",
    many: "people",
    and: "and|or",
    genitive: "'s",
    after: each("a an the this that his her its my our your their one another every each", (word) =>
      word === "an" ? "a person" : `${word} person`,
    ),
    joins: "of by with from for to and or featuring starring".split(" "),
  },
  de: {
    one: "eine Person",
    two: "zwei Personen",
    many: "mehrere Personen",
    and: "und|oder|sowie",
    genitive: "",
    genitiveOne: "einer Person",
    after: {
      ...each(
        "mit von bei zu nach aus seit gegenüber außer in an auf neben hinter vor über unter zwischen",
        dative,
      ),
      ...each("wegen während trotz statt anstatt", dative),
      ...pairs(
        `der:die den:die dem:der des:der die:die das:die ein:eine eine:eine einen:eine einem:einer einer:einer
        eines:einer zum:zur zur:zur vom:von_der beim:bei_der im:in_der am:an_der dieser:diese diesen:diese diesem:dieser
        diese:diese sein:seine seinen:seine seinem:seiner seine:seine ihr:ihre ihren:ihre ihrem:ihrer ihre:ihre`,
        "Person",
      ),
    },
    joins: "von mit bei für und oder sowie vom beim".split(" "),
  },
  es: {
    one: "una persona",
    two: "dos personas",
    many: "varias personas",
    and: "y|e|o|u",
    genitive: "",
    after: pairs(
      "el:la la:la un:una una:una del:de_la al:a_la este:esta esta:esta ese:esa su:su mi:mi otro:otra otra:otra cada:cada",
      "persona",
    ),
    joins: "de con por para y e o u del".split(" "),
  },
  fr: {
    one: "une personne",
    two: "deux personnes",
    many: "plusieurs personnes",
    and: "et|ou",
    genitive: "",
    after: {
      ...pairs(
        `le:la la:la un:une une:une du:de_la au:à_la ce:cette cet:cette cette:cette son:sa sa:sa mon:ma ma:ma leur:leur
        chaque:chaque`,
        "personne",
      ),
      // Vowels that are left out before another.
      de: "d'une personne",
      d: "d'une personne",
      que: "qu'une personne",
      qu: "qu'une personne",
      lorsque: "lorsqu'une personne",
      jusque: "jusqu'à une personne",
      l: "la personne",
    },
    joins: "de d avec par pour et ou du".split(" "),
  },
  it: {
    one: "una persona",
    two: "due persone",
    many: "diverse persone",
    and: "e|ed|o",
    genitive: "",
    after: pairs(
      `il:la lo:la la:la l:la un:una uno:una una:una del:della dello:della al:alla allo:alla dal:dalla nel:nella sul:sulla
      questo:questa quel:quella suo:sua sua:sua ogni:ogni`,
      "persona",
    ),
    joins: "di con da per e ed o del".split(" "),
  },
  pt: {
    one: "uma pessoa",
    two: "duas pessoas",
    many: "várias pessoas",
    and: "e|ou",
    genitive: "",
    after: pairs(
      `o:a a:a um:uma uma:uma do:da da:da ao:à no:na na:na pelo:pela pela:pela num:numa este:esta esse:essa seu:sua sua:sua
      outro:outra cada:cada`,
      "pessoa",
    ),
    joins: "de com por para e ou do da".split(" "),
  },
};

function each(words: string, phrase: (word: string) => string): Record<string, string> {
  return Object.fromEntries(words.split(/\s+/).map((word) => [word, phrase(word)]));
}

function dative(preposition: string): string {
  return `${preposition} einer Person`;
}

/** `word:what it becomes`, each before the noun; an underscore stands for a space. */
function pairs(text: string, noun: string): Record<string, string> {
  return Object.fromEntries(
    text.split(/\s+/).map((pair) => {
      const [word, becomes] = pair.split(":") as [string, string];
      return [word, `${becomes.replace("_", " ")} ${noun}`];
    }),
  );
}
