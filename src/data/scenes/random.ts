/**
 * Random numbers of one scene: a pure function of split, seed and index, with no state between scenes, so that any
 * scene can be made alone and in any order. Integer arithmetic only: equal on every machine.
 */

export interface Random {
  /** A number in [low, high). */
  between(low: number, high: number): number;
  /** One of the items, each as likely. */
  pick<T>(items: readonly T[]): T;
  /** 32 random bits as an unsigned integer. */
  bits(): number;
}

/** A stream of numbers whose key is the text. Two 32-bit words of key keep millions of streams apart. */
export function randomStream(key: string): Random {
  const low = hashText(key, 0x9747b28c);
  const high = hashText(key, 0x3c6ef372);
  let counter = 0;
  const bits = () => {
    counter = (counter + 0x9e3779b9) >>> 0;
    return mix(mix(counter ^ low) ^ high);
  };
  const uniform = () => bits() / 2 ** 32;
  return {
    bits,
    between: (from, to) => from + (to - from) * uniform(),
    pick: (items) => items[Math.floor(uniform() * items.length)]!,
  };
}

/** FNV-1a over the text's UTF-16 units, then mixed: 32 bits as an unsigned integer. */
export function hashText(text: string, basis = 0x811c9dc5): number {
  let hash = basis;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return mix(hash);
}

/** The 32-bit finaliser "lowbias32" (C. Wellons, hash-prospector). */
function mix(value: number): number {
  let z = value;
  z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
  z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
  return (z ^ (z >>> 15)) >>> 0;
}
