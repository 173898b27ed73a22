import type { Stats } from "node:fs";
import { readdir, stat } from "node:fs/promises";

/** Whether a path holds a wildcard: `*`, `?` or `[`. */
export function hasWildcard(path: string): boolean {
  return /[*?[]/.test(path);
}

/**
 * Files that match a pattern, sorted. `*`, `?` and `[a-z]` or `[!a-z]` match within a name and `**` matches any number
 * of folders, without following links; a name that starts with a dot is matched only by a pattern that does, too.
 * Paths come out as the pattern spells them: relative for a relative one.
 */
export async function globFiles(pattern: string): Promise<string[]> {
  const slashed = process.platform === "win32" ? pattern.replaceAll("\\", "/") : pattern;
  const found = new Set<string>();
  await match(slashed.split(/\/+/), "", found);
  return [...found].sort();
}

/** Adds to `found` the files that the remaining parts of the pattern match after `prefix`, "" or a folder with slash. */
async function match(parts: readonly string[], prefix: string, found: Set<string>): Promise<void> {
  const [part, ...rest] = parts;
  if (part === undefined) return;
  const follow = async (name: string, kind: { isFile(): boolean; isDirectory(): boolean } | undefined) => {
    if (rest.length === 0 && kind?.isFile()) found.add(prefix + name);
    if (rest.length > 0 && kind?.isDirectory()) await match(rest, `${prefix}${name}/`, found);
  };
  // An absolute pattern starts with an empty part: the root.
  if (!hasWildcard(part)) return follow(part, await kindOf(prefix + part || "/"));

  const deep = part === "**";
  if (deep) await match(rest, prefix, found);
  const matches = deep ? /^[^.]/ : namePattern(part);
  for (const entry of await readdir(prefix || ".", { withFileTypes: true }).catch(() => [])) {
    if (!matches.test(entry.name)) continue;
    // Links match as what they point to.
    if (!deep) await follow(entry.name, entry.isSymbolicLink() ? await kindOf(prefix + entry.name) : entry);
    else if (entry.isDirectory()) await match(parts, `${prefix}${entry.name}/`, found);
    else if (rest.length === 0 && entry.isFile()) found.add(prefix + entry.name);
  }
}

function kindOf(path: string): Promise<Stats | undefined> {
  return stat(path).catch(() => undefined);
}

function namePattern(part: string): RegExp {
  let source = part.startsWith(".") ? "" : "(?!\\.)";
  for (let i = 0; i < part.length; i++) {
    const character = part[i]!;
    const close = character === "[" ? part.indexOf("]", i + (/[!^]/.test(part[i + 1] ?? "") ? 3 : 2)) : -1;
    if (character === "*") source += ".*";
    else if (character === "?") source += ".";
    else if (close > 0) {
      const set = part.slice(i + 1, close);
      const inside = set.replace(/^[!^]/, "").replace(/[\\\]^[]/g, "\\$&");
      source += `[${/^[!^]/.test(set) ? "^" : ""}${inside}]`;
      i = close;
    } else source += character.replace(/[\\^$.|+()[\]{}]/g, "\\$&");
  }
  try {
    return new RegExp(`^${source}$`, "su");
  } catch {
    // A range that runs backwards, such as [z-a], holds nothing.
    return /(?!)/;
  }
}
