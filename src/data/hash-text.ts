/** 32 bits of a text (FNV-1a by Fowler, Noll and Vo): the same everywhere, and no defence against those who seek collisions. */
export function hashText(text: string): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  return value >>> 0;
}
