import { useInterface } from "../i18n/i18n.js";

/** Puts text on the clipboard and says so. */
export function useCopy(onNote: (note: string) => void): (text: string) => Promise<void> {
  const { say } = useInterface();
  return async (text) => {
    try {
      await navigator.clipboard.writeText(text);
      onNote(say.copied);
    } catch {
      onNote(say.notCopied);
    }
  };
}
