/** The published checkpoint, which the name `original` stands for. */
export const ORIGINAL = "flax-community/clip-vit-base-patch32_mbart-large-50";

/** A model on the hub. */
export interface HubReference {
  /** "owner/name" */
  readonly name: string;
  /** A branch, a tag or a commit. */
  readonly revision: string;
}

// The hub's own rules, as huggingface_hub checks them.
const PART = /^(?!.*(?:--|\.\.))\w(?:[\w.-]{0,94}\w)?$/;
const REVISION_PART = /^(?!\.{1,2}$)[\w.+-]+$/;

/** Reads `owner/name[@revision]` or `original`; undefined for anything else. */
export function parseReference(text: string): HubReference | undefined {
  if (text === "original") return { name: ORIGINAL, revision: "main" };
  const [name = "", revision = "main", ...more] = text.split("@");
  const parts = name.split("/");
  const valid =
    more.length === 0 &&
    parts.length === 2 &&
    parts.every((part) => PART.test(part)) &&
    !name.endsWith(".git") &&
    revision.split("/").every((part) => REVISION_PART.test(part));
  return valid ? { name, revision } : undefined;
}

/** Whether a revision is a commit, of which the hub can tell nothing new. */
export function isCommit(revision: string): boolean {
  return /^[0-9a-f]{40}$/.test(revision);
}
