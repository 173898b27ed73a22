/** Stemmers after Porter and Snowball (https://snowballstem.org), of the languages of mBART-50 that have one. */

export type Stem = (word: string) => string;

const LOADERS: Readonly<Record<string, () => Promise<{ readonly stemmer: Stem }>>> = {
  ar: () => import("@orama/stemmers/arabic"),
  de: () => import("@orama/stemmers/german"),
  en: () => import("@orama/stemmers/english"),
  es: () => import("@orama/stemmers/spanish"),
  fi: () => import("@orama/stemmers/finnish"),
  fr: () => import("@orama/stemmers/french"),
  hi: () => import("@orama/stemmers/indian"),
  id: () => import("@orama/stemmers/indonesian"),
  it: () => import("@orama/stemmers/italian"),
  lt: () => import("@orama/stemmers/lithuanian"),
  ne: () => import("@orama/stemmers/nepali"),
  nl: () => import("@orama/stemmers/dutch"),
  pt: () => import("@orama/stemmers/portuguese"),
  ro: () => import("@orama/stemmers/romanian"),
  ru: () => import("@orama/stemmers/russian"),
  sv: () => import("@orama/stemmers/swedish"),
  ta: () => import("@orama/stemmers/tamil"),
  tr: () => import("@orama/stemmers/turkish"),
  uk: () => import("@orama/stemmers/ukrainian"),
};

/**
 * Nothing for a language without a stemmer. Stems are kept, since captions use few words over and over.
 * @param lang ISO code
 */
export async function loadStemmer(lang: string): Promise<Stem | undefined> {
  const loader = LOADERS[lang];
  if (!loader) return undefined;
  const { stemmer } = await loader();
  const known = new Map<string, string>();
  return (word) => {
    const stem = known.get(word) ?? stemmer(word);
    known.set(word, stem);
    return stem;
  };
}
