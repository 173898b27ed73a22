import { describe, expect, it } from "vitest";
import { type Described, SCENE_LANGUAGES, sceneCaption } from "./caption.js";
import { COLOURS, type Colour, KINDS, type Kind, RELATIONS, SIZES, type Size } from "./vocabulary.js";

/** A scene in words, then what each language says of it. Written by hand, not by the program. */
const EXPECTED = `
small red star | left-of | blue circle | below | green cross
en a small red star to the left of a blue circle, with a green cross below
de ein kleiner roter Stern links von einem blauen Kreis, darunter ein grünes Kreuz
fr une petite étoile rouge à gauche d'un cercle bleu, avec une croix verte en dessous
es una pequeña estrella roja a la izquierda de un círculo azul, con una cruz verde debajo
it una piccola stella rossa a sinistra di un cerchio blu, con una croce verde sotto
pt uma pequena estrela vermelha à esquerda de um círculo azul, com uma cruz verde abaixo

red cross | right-of | large green square | above | yellow diamond
en a red cross to the right of a large green square, with a yellow diamond above
de ein rotes Kreuz rechts von einem großen grünen Quadrat, darüber eine gelbe Raute
fr une croix rouge à droite d'un grand carré vert, avec un losange jaune au-dessus
es una cruz roja a la derecha de un gran cuadrado verde, con un rombo amarillo encima
it una croce rossa a destra di un grande quadrato verde, con un rombo giallo sopra
pt uma cruz vermelha à direita de um grande quadrado verde, com um losango amarelo acima

small red diamond | above | small yellow triangle | right-of | blue star
en a small red diamond above a small yellow triangle, with a blue star to the right
de eine kleine rote Raute über einem kleinen gelben Dreieck, rechts daneben ein blauer Stern
fr un petit losange rouge au-dessus d'un petit triangle jaune, avec une étoile bleue à droite
es un pequeño rombo rojo encima de un pequeño triángulo amarillo, con una estrella azul a la derecha
it un piccolo rombo rosso sopra un piccolo triangolo giallo, con una stella blu a destra
pt um pequeno losango vermelho acima de um pequeno triângulo amarelo, com uma estrela azul à direita

green star | below | large orange circle | left-of | blue cross
en a green star below a large orange circle, with a blue cross to the left
de ein grüner Stern unter einem großen orangefarbenen Kreis, links daneben ein blaues Kreuz
fr une étoile verte en dessous d'un grand cercle orange, avec une croix bleue à gauche
es una estrella verde debajo de un gran círculo naranja, con una cruz azul a la izquierda
it una stella verde sotto un grande cerchio arancione, con una croce blu a sinistra
pt uma estrela verde abaixo de um grande círculo laranja, com uma cruz azul à esquerda

small green diamond | inside | large purple square | below | yellow star
en a small green diamond inside a large purple square, with a yellow star below
de eine kleine grüne Raute in einem großen violetten Quadrat, darunter ein gelber Stern
fr un petit losange vert dans un grand carré violet, avec une étoile jaune en dessous
es un pequeño rombo verde dentro de un gran cuadrado morado, con una estrella amarilla debajo
it un piccolo rombo verde dentro un grande quadrato viola, con una stella gialla sotto
pt um pequeno losango verde dentro de um grande quadrado roxo, com uma estrela amarela abaixo

blue diamond | touching | black circle | above | small yellow cross
en a blue diamond touching a black circle, with a small yellow cross above
de eine blaue Raute, die einen schwarzen Kreis berührt, darüber ein kleines gelbes Kreuz
fr un losange bleu qui touche un cercle noir, avec une petite croix jaune au-dessus
es un rombo azul que toca un círculo negro, con una pequeña cruz amarilla encima
it un rombo blu che tocca un cerchio nero, con una piccola croce gialla sopra
pt um losango azul que toca um círculo preto, com uma pequena cruz amarela acima

orange star | touching | white diamond | below | large purple cross
en an orange star touching a white diamond, with a large purple cross below
de ein orangefarbener Stern, der eine weiße Raute berührt, darunter ein großes violettes Kreuz
fr une étoile orange qui touche un losange blanc, avec une grande croix violette en dessous
es una estrella naranja que toca un rombo blanco, con una gran cruz morada debajo
it una stella arancione che tocca un rombo bianco, con una grande croce viola sotto
pt uma estrela laranja que toca um losango branco, com uma grande cruz roxa abaixo

large orange cross | touching | red square | above | black diamond
en a large orange cross touching a red square, with a black diamond above
de ein großes orangefarbenes Kreuz, das ein rotes Quadrat berührt, darüber eine schwarze Raute
fr une grande croix orange qui touche un carré rouge, avec un losange noir au-dessus
es una gran cruz naranja que toca un cuadrado rojo, con un rombo negro encima
it una grande croce arancione che tocca un quadrato rosso, con un rombo nero sopra
pt uma grande cruz laranja que toca um quadrado vermelho, com um losango preto acima

large orange diamond | left-of | large white star | below | small purple star
en a large orange diamond to the left of a large white star, with a small purple star below
de eine große orangefarbene Raute links von einem großen weißen Stern, darunter ein kleiner violetter Stern
fr un grand losange orange à gauche d'une grande étoile blanche, avec une petite étoile violette en dessous
es un gran rombo naranja a la izquierda de una gran estrella blanca, con una pequeña estrella morada debajo
it un grande rombo arancione a sinistra di una grande stella bianca, con una piccola stella viola sotto
pt um grande losango laranja à esquerda de uma grande estrela branca, com uma pequena estrela roxa abaixo

small purple diamond | above | large black diamond | left-of | large white star
en a small purple diamond above a large black diamond, with a large white star to the left
de eine kleine violette Raute über einer großen schwarzen Raute, links daneben ein großer weißer Stern
fr un petit losange violet au-dessus d'un grand losange noir, avec une grande étoile blanche à gauche
es un pequeño rombo morado encima de un gran rombo negro, con una gran estrella blanca a la izquierda
it un piccolo rombo viola sopra un grande rombo nero, con una grande stella bianca a sinistra
pt um pequeno losango roxo acima de um grande losango preto, com uma grande estrela branca à esquerda

black star | below | red cross | right-of | white diamond
en a black star below a red cross, with a white diamond to the right
de ein schwarzer Stern unter einem roten Kreuz, rechts daneben eine weiße Raute
fr une étoile noire en dessous d'une croix rouge, avec un losange blanc à droite
es una estrella negra debajo de una cruz roja, con un rombo blanco a la derecha
it una stella nera sotto una croce rossa, con un rombo bianco a destra
pt uma estrela preta abaixo de uma cruz vermelha, com um losango branco à direita

black cross | right-of | large blue triangle | below | large white cross
en a black cross to the right of a large blue triangle, with a large white cross below
de ein schwarzes Kreuz rechts von einem großen blauen Dreieck, darunter ein großes weißes Kreuz
fr une croix noire à droite d'un grand triangle bleu, avec une grande croix blanche en dessous
es una cruz negra a la derecha de un gran triángulo azul, con una gran cruz blanca debajo
it una croce nera a destra di un grande triangolo blu, con una grande croce bianca sotto
pt uma cruz preta à direita de um grande triângulo azul, com uma grande cruz branca abaixo

small red circle | left-of | blue square
en a small red circle to the left of a blue square
de ein kleiner roter Kreis links von einem blauen Quadrat
fr un petit cercle rouge à gauche d'un carré bleu
es un pequeño círculo rojo a la izquierda de un cuadrado azul
it un piccolo cerchio rosso a sinistra di un quadrato blu
pt um pequeno círculo vermelho à esquerda de um quadrado azul

green triangle | inside | large orange circle
en a green triangle inside a large orange circle
de ein grünes Dreieck in einem großen orangefarbenen Kreis
fr un triangle vert dans un grand cercle orange
es un triángulo verde dentro de un gran círculo naranja
it un triangolo verde dentro un grande cerchio arancione
pt um triângulo verde dentro de um grande círculo laranja

orange square
en an orange square
de ein orangefarbenes Quadrat
fr un carré orange
es un cuadrado naranja
it un quadrato arancione
pt um quadrado laranja

large orange square
en a large orange square
de ein großes orangefarbenes Quadrat
fr un grand carré orange
es un gran cuadrado naranja
it un grande quadrato arancione
pt um grande quadrado laranja`;

const EXAMPLES = EXPECTED.trim()
  .split("\n\n")
  .map((block) => {
    const [scene, ...captions] = block.split("\n");
    return {
      scene: parseScene(scene!),
      captions: captions.map((line) => [line.slice(0, 2), line.slice(3)] as const),
    };
  });

function parseScene(text: string): Described {
  const [a, relation, b, third, c] = text.split(" | ");
  const objects = [a, b, c].filter((words) => words !== undefined).map(parseObject);
  return { objects, relation: relation ?? null, third: third ?? null } as Described;
}

function parseObject(text: string): Described["objects"][number] {
  const words = text.split(" ");
  const among = <T extends string>(names: readonly T[]) => names.find((name) => words.includes(name));
  return { kind: among(KINDS)!, colour: among(COLOURS)!, size: among(SIZES) ?? "medium" };
}

describe("scene captions", () => {
  it.each(
    EXAMPLES.flatMap(({ scene, captions }) =>
      captions.map(([language, text]) => ({ scene, language, text })),
    ),
  )("$language: $text", ({ scene, language, text }) => {
    expect(sceneCaption(scene, language).text).toBe(text);
  });

  it.each(SCENE_LANGUAGES)(
    "%s: the expected captions have every word that the grammar can say",
    (language) => {
      const expected = EXAMPLES.flatMap(({ captions }) => captions.filter(([name]) => name === language));
      expect(expected).toHaveLength(EXAMPLES.length);
      const known = new Set(expected.flatMap(([, text]) => wordsOf(text)));
      const unknown = new Set(
        everyCaption(language)
          .flatMap(wordsOf)
          .filter((word) => !known.has(word)),
      );
      expect([...unknown]).toEqual([]);
    },
  );

  it.each(SCENE_LANGUAGES)("%s: different scenes have different captions", (language) => {
    const captions = everyCaption(language);
    expect(new Set(captions).size).toBe(captions.length);
  });

  it("marks where the text speaks of what", () => {
    const scene = parseScene("small red star | touching | orange square | below | blue cross");
    const { text, mentions } = sceneCaption(scene, "fr");
    const marked = mentions.map(({ start, end, object, role }) => [text.slice(start, end), object, role]);
    expect(marked).toEqual([
      ["petite", 0, "size"],
      ["étoile", 0, "kind"],
      ["rouge", 0, "colour"],
      ["carré", 1, "kind"],
      ["orange", 1, "colour"],
      ["croix", 2, "kind"],
      ["bleue", 2, "colour"],
    ]);
    expect(sceneCaption(parseScene("orange star"), "en").mentions[0]).toMatchObject({ start: 3, end: 9 });
  });

  it("refuses a language without a grammar", () => {
    const scene = parseScene("red star");
    expect(() => sceneCaption(scene, "ja")).toThrow(expect.objectContaining({ code: "unknown-language" }));
    expect(() => sceneCaption(scene, "ja")).toThrow(/en, de, fr, es, it, pt/);
  });
});

function wordsOf(text: string): string[] {
  return text.match(/[\p{L}-]+'?/gu)!;
}

/** Captions of every object alone, and in every relation's both places and third. */
function everyCaption(language: string): string[] {
  const objects = KINDS.flatMap((kind: Kind) =>
    COLOURS.flatMap((colour: Colour) => SIZES.map((size: Size) => ({ kind, colour, size }))),
  );
  const other = { kind: "square", colour: "red", size: "medium" } as const;
  const another = { kind: "circle", colour: "blue", size: "medium" } as const;
  const scenes: Described[] = objects.flatMap((object) => [
    { objects: [object], relation: null, third: null },
    ...RELATIONS.flatMap((relation): Described[] => [
      { objects: [object, other], relation, third: null },
      { objects: [other, object, other], relation, third: "above" },
    ]),
    ...(["left-of", "right-of", "above", "below"] as const).map(
      (third): Described => ({ objects: [another, another, object], relation: "above", third }),
    ),
  ]);
  return scenes.map((scene) => sceneCaption(scene, language).text);
}
