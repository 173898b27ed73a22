/**
 * ROUGE-L (Lin 2004, https://aclanthology.org/W04-1013) as COCO's evaluation computes it: the longest common
 * subsequence of words as a share of the caption's and of the reference's, recall weighing 1.2² times precision. The
 * best share of any reference counts, precision and recall each for itself.
 */

const BETA = 1.2;

/**
 * From 0 to 1; 0 where nothing is common.
 * @param references tokens of at least one reference
 */
export function rougeL(hypothesis: readonly string[], references: readonly (readonly string[])[]): number {
  let [precision, recall] = [0, 0];
  for (const reference of references) {
    const common = commonSubsequence(hypothesis, reference);
    if (common === 0) continue;
    precision = Math.max(precision, common / hypothesis.length);
    recall = Math.max(recall, common / reference.length);
  }
  if (precision === 0) return 0;
  return ((1 + BETA ** 2) * precision * recall) / (recall + BETA ** 2 * precision);
}

/** Length of the longest sequence that both hold in order, not necessarily without gaps. */
function commonSubsequence(a: readonly string[], b: readonly string[]): number {
  // lengths[j]: the longest of a so far and the first j of b.
  const lengths = new Uint32Array(b.length + 1);
  for (const token of a) {
    let diagonal = 0;
    for (let j = 1; j <= b.length; j++) {
      const above = lengths[j]!;
      lengths[j] = token === b[j - 1] ? diagonal + 1 : Math.max(above, lengths[j - 1]!);
      diagonal = above;
    }
  }
  return lengths[b.length]!;
}
