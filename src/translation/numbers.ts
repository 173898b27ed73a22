/** Numbers of texts, and whether a translation has kept them. */

/** Digits, with the separators of thousands and decimals that stand between them. */
const NUMBER = /\p{Nd}+(?:[.,'’\u00a0\u202f ]\p{Nd}{3}(?!\p{Nd}))*(?:[.,]\p{Nd}+)?/gu;

/** From 0 on: what small numbers are called, in all their forms. */
const WORDS: Readonly<Record<string, string>> = {
  de: `null ein|eine|einen|einem|einer|eines|eins zwei|beide|beiden drei vier fünf sechs sieben acht neun zehn elf zwölf`,
  es: `cero un|una|uno dos|ambos|ambas tres cuatro cinco seis siete ocho nueve diez once doce`,
  fr: `zéro un|une deux trois quatre cinq six sept huit neuf dix onze douze`,
  it: `zero un|uno|una due tre quattro cinque sei sette otto nove dieci undici dodici`,
  pt: `zero um|uma dois|duas três quatro cinco seis sete oito nove dez onze doze`,
  nl: `nul een|één twee drie vier vijf zes zeven acht negen tien elf twaalf`,
};

/**
 * The numbers of the source that the translation has neither in digits nor, small ones, in words. Each counts as often
 * as it stands there.
 * @param to ISO code of the translation's language
 */
export function lostNumbers(source: string, translation: string, to: string): string[] {
  const left = numbersIn(translation);
  const words = WORDS[to]?.split(/\s+/);
  return numbersIn(source).filter((number) => {
    const place = left.indexOf(number);
    if (place >= 0) {
      left.splice(place, 1);
      return false;
    }
    const word = words?.[Number(number)];
    // Without a list of words, a small number may be there in words.
    if (!words) return Number(number) > MOST_IN_WORDS;
    return word === undefined || !new RegExp(`(?<!\\p{L})(?:${word})`, "iu").test(translation);
  });
}

const MOST_IN_WORDS = 12;

/** Numbers as their digits alone, so that "1,000.5" is "1.000,5" in another language; a decimal zero is left out. */
function numbersIn(text: string): string[] {
  return (text.match(NUMBER) ?? []).map((number) =>
    number.replace(/[.,]0+$/, (zeros) => (zeros.length === 4 ? zeros : "")).replace(/[^\p{Nd}]/gu, ""),
  );
}
