import { useEffect, useRef, useState } from "react";
import { useInterface } from "../i18n/i18n.js";
import { addressIn, picturesIn } from "../pictures/picture.js";

/** Takes what is dropped or pasted anywhere on the page. */
export function DropTarget({
  onFiles,
  onAddress,
}: {
  readonly onFiles: (files: readonly File[]) => void;
  readonly onAddress: (address: string) => void;
}) {
  const { say } = useInterface();
  const [isOver, setIsOver] = useState(false);
  // Entering a child leaves its parent: only the last to be left counts.
  const depth = useRef(0);

  useEffect(() => {
    const listening = new AbortController();
    const { signal } = listening;
    const take = (data: DataTransfer | null): boolean => {
      const files = picturesIn(data);
      const address = files.length === 0 ? addressIn(data) : undefined;
      if (files.length > 0) onFiles(files);
      else if (address) onAddress(address);
      return files.length > 0 || address !== undefined;
    };
    const enter = (change: number): void => {
      depth.current = Math.max(0, depth.current + change);
      setIsOver(depth.current > 0);
    };
    addEventListener("dragenter", () => enter(1), { signal });
    addEventListener("dragleave", () => enter(-1), { signal });
    addEventListener("dragover", (event) => event.preventDefault(), { signal });
    addEventListener(
      "drop",
      (event) => {
        event.preventDefault();
        enter(-depth.current);
        take(event.dataTransfer);
      },
      { signal },
    );
    addEventListener(
      "paste",
      (event) => {
        // Text for a field is the field's.
        if (event.target instanceof HTMLInputElement && picturesIn(event.clipboardData).length === 0) return;
        if (take(event.clipboardData)) event.preventDefault();
      },
      { signal },
    );
    return () => listening.abort();
  }, [onFiles, onAddress]);

  return isOver && <p className="drop-target">{say.drop}</p>;
}
