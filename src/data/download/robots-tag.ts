/** `X-Robots-Tag`, with which a site says what may be done with what it serves. */

/** "none" is Google's short form of noindex and nofollow. */
const OPT_OUTS = new Set(["noai", "noimageai", "noindex", "noimageindex", "none"]);

/**
 * Whether a header, in one line or several, asks not to be used. Directives may stand behind the name of the agent
 * that they are for (`otherbot: noindex, noarchive`), and then hold for that agent alone, to the end of the line.
 * @param agent our own name in such lines, in lower case
 */
export function isOptedOut(header: string | string[] | undefined, agent: string): boolean {
  return [header ?? []].flat().some((line) => {
    let applies = true;
    return line
      .toLowerCase()
      .split(",")
      .some((part) => {
        const [, name, rest] = /^\s*([^:\s]+)\s*:\s*(.*)$/.exec(part) ?? [];
        // A date, which follows a colon too, names no agent.
        if (name !== undefined && name !== "unavailable_after") applies = name === agent || name === "*";
        return applies && OPT_OUTS.has((rest ?? part).trim());
      });
  });
}
