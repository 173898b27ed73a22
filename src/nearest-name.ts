/** ` Did you mean "steps"?` for a name that is nearly one of `names`, else nothing: the end of an error's message. */
export function didYouMean(name: string, names: readonly string[]): string {
  const distances = names.map((known) => ({
    known,
    distance: editDistance(name.toLowerCase(), known.toLowerCase()),
  }));
  const [nearest] = distances.sort((a, b) => a.distance - b.distance);
  // Beyond a third of its letters, a name is another name.
  return nearest && nearest.distance <= Math.ceil(name.length / 3) ? ` Did you mean "${nearest.known}"?` : "";
}

/** Letters to insert, remove or replace, or neighbours to swap, until `a` is `b` (optimal string alignment). */
function editDistance(a: string, b: string): number {
  const rows = [Array.from({ length: b.length + 1 }, (_, j) => j)];
  for (let i = 1; i <= a.length; i++) {
    const above = rows[i - 1]!;
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let least = Math.min(above[j]! + 1, row[j - 1]! + 1, above[j - 1]! + (same ? 0 : 1));
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (swapped) least = Math.min(least, rows[i - 2]![j - 2]! + 1);
      row.push(least);
    }
    rows.push(row);
  }
  return rows[a.length]![b.length]!;
}
