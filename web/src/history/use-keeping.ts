import { useEffect, useRef } from "react";
import type { Description } from "../captioning/use-descriptions.js";
import { type Picture, thumbnailOf } from "../pictures/picture.js";
import type { History } from "./use-history.js";

const EDGE = 96;

/** Keeps every picture once it has been described; where it is described anew, what is kept changes with it. */
export function useKeeping(
  pictures: readonly Picture[],
  descriptions: ReadonlyMap<string, Description>,
  { keep }: History,
): void {
  const kept = useRef(new Map<string, Description["captions"]>());
  useEffect(() => {
    for (const { id, blob, name } of pictures) {
      const description = descriptions.get(id);
      if (!description || description.busy || description.failure) continue;
      if (kept.current.get(id) === description.captions) continue;
      kept.current.set(id, description.captions);
      const captions = Object.fromEntries(
        Object.entries(description.captions).map(([lang, [best]]) => [lang, best?.text ?? ""]),
      );
      void thumbnailOf(blob, EDGE).then((thumbnail) => {
        if (thumbnail) keep({ id, when: Date.now(), name, thumbnail, captions });
      });
    }
  }, [pictures, descriptions, keep]);
}
