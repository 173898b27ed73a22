/** What `data check` finds. */
export const PROBLEM_KINDS = [
  /** A tar file that ends too early. */
  "truncated",
  /** A file of the dataset that is not of its format, or not as it was written. */
  "damaged",
  /** A shard or a picture that should be there. */
  "missing",
  /** A sample without a picture or without captions. */
  "incomplete",
  /** A picture that cannot be decoded to its end. */
  "unreadable",
  /** A picture of another format or size than said, or texts of a sample that differ. */
  "mislabelled",
  /** A key that another sample has, or a picture with the same bytes as another. */
  "duplicate",
  /** Pictures, list, counts and marker of a shard that do not say the same. */
  "disagreeing",
] as const;
export type ProblemKind = (typeof PROBLEM_KINDS)[number];

export interface Problem {
  readonly kind: ProblemKind;
  /** File, and sample or line. */
  readonly place: string;
  /** What is wrong, as the end of a sentence that begins with the place. */
  readonly message: string;
}
