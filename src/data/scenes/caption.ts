/** Describes scenes: the one canonical caption per language, by that language's grammar. */
import { LingolensError } from "../../errors.js";
import type { Case, Gender, Grammar, Inflected, WordRole } from "./grammar.js";
import { german } from "./grammars/de.js";
import { english } from "./grammars/en.js";
import { spanish } from "./grammars/es.js";
import { french } from "./grammars/fr.js";
import { italian } from "./grammars/it.js";
import { portuguese } from "./grammars/pt.js";
import type { Scene } from "./scene.js";
import type { Size, Thing } from "./vocabulary.js";

/** A new language is a file in `grammars/` and its name here. */
const GRAMMARS: ReadonlyMap<string, Grammar> = new Map(
  [english, german, french, spanish, italian, portuguese].map((grammar) => [grammar.language, grammar]),
);

/** ISO 639-1 codes of the languages in which scenes can be described. */
export const SCENE_LANGUAGES: readonly string[] = [...GRAMMARS.keys()];

/** A word of a caption that says something of an object. */
export interface Mention {
  /** UTF-16 units of the text, the end not included. */
  readonly start: number;
  readonly end: number;
  /** Index into the scene's objects. */
  readonly object: number;
  readonly role: WordRole;
}

export interface SceneCaption {
  readonly text: string;
  readonly mentions: readonly Mention[];
}

/** What a caption needs to know of a scene. */
export interface Described extends Pick<Scene, "relation" | "third"> {
  readonly objects: readonly (Thing & { readonly size: Size })[];
}

/**
 * The caption of a scene, in lower case and without a full stop.
 * @param language ISO 639-1 code
 * @throws {LingolensError} `unknown-language`
 */
export function sceneCaption(scene: Described, language: string): SceneCaption {
  const grammar = GRAMMARS.get(language);
  if (!grammar) {
    throw new LingolensError(
      "unknown-language",
      `Scenes have no grammar for "${language}"; expected one of ${SCENE_LANGUAGES.join(", ")}.`,
    );
  }
  const pair = scene.relation ? grammar.relations[scene.relation] : "{a}";
  const third = scene.third ? grammar.third[scene.third] : "";
  const words = `${pair} ${third}`
    .trim()
    .split(" ")
    .flatMap((word) => fillIn(word, scene, grammar));
  return joinWords(words, grammar);
}

interface Word {
  readonly text: string;
  readonly mention?: Pick<Mention, "object" | "role">;
}

/** A word of a template as it is, or what its placeholder such as `{b.dative}` stands for. */
function fillIn(word: string, scene: Described, grammar: Grammar): Word[] {
  const placeholder = /^\{([abc])(?:\.(\w+))?\}$/.exec(word);
  if (!placeholder) return [{ text: word }];
  const [, name, form = "nominative"] = placeholder;
  const object = "abc".indexOf(name!);
  const { kind, colour, size } = scene.objects[object]!;
  const [noun, gender] = grammar.nouns[kind];
  if (form === "relative") return [{ text: inflect(grammar.relativePronoun!, gender, "nominative") }];

  const inForm = (inflected: Inflected) => inflect(inflected, gender, form as Case);
  const texts: Record<WordRole, string | null> = {
    kind: noun,
    colour: inForm(grammar.colours[colour]),
    size: size === "medium" ? null : inForm(grammar.sizes[size]),
  };
  const described = grammar.order.flatMap((role): Word[] => {
    const text = texts[role];
    return text === null ? [] : [{ text, mention: { object, role } }];
  });
  return [{ text: inForm(grammar.article) }, ...described];
}

function inflect(inflected: Inflected, gender: Gender, grammaticalCase: Case): string {
  if (typeof inflected === "string") return inflected;
  return (inflected[`${gender} ${grammaticalCase}`] ?? inflected[gender])!;
}

const VOWEL = /^[aeiouáàâéèêíóôú]/i;

function joinWords(words: readonly Word[], { beforeVowel = {} }: Grammar): SceneCaption {
  let text = "";
  const mentions: Mention[] = [];
  words.forEach((word, i) => {
    const meetsVowel = VOWEL.test(words[i + 1]?.text ?? "");
    const form = (meetsVowel && beforeVowel[word.text]) || word.text;
    const together = text === "" || text.endsWith("'") || form === ",";
    const start = text.length + (together ? 0 : 1);
    text += together ? form : ` ${form}`;
    if (word.mention) mentions.push({ start, end: text.length, ...word.mention });
  });
  return { text, mentions };
}
