import { useCallback, useEffect, useState } from "react";

export interface Speech {
  /** Whether a voice of the browser's speaks a language. */
  speaks(language: string): boolean;
  /** The text that is being read. */
  readonly reading: string | undefined;
  read(text: string, language: string): void;
  stop(): void;
}

/** The browser's own voices; nothing is sent anywhere by us. */
export function useSpeech(): Speech {
  const [voices, setVoices] = useState<readonly SpeechSynthesisVoice[]>([]);
  const [reading, setReading] = useState<string>();

  useEffect(() => {
    const { speechSynthesis } = window;
    if (!speechSynthesis) return;
    const update = (): void => setVoices(speechSynthesis.getVoices());
    update(); // Some browsers have them at once, others tell later.
    speechSynthesis.addEventListener("voiceschanged", update);
    return () => {
      speechSynthesis.removeEventListener("voiceschanged", update);
      speechSynthesis.cancel();
    };
  }, []);

  const voiceOf = useCallback(
    (language: string) => {
      const spoken = voices.filter(({ lang }) => lang.slice(0, 2).toLowerCase() === language.slice(0, 2));
      // Voices of the device first: others may send the text to their maker.
      return spoken.find(({ localService }) => localService) ?? spoken[0];
    },
    [voices],
  );
  const speaks = useCallback((language: string) => voiceOf(language) !== undefined, [voiceOf]);
  const stop = useCallback(() => {
    window.speechSynthesis.cancel();
    setReading(undefined);
  }, []);
  const read = useCallback(
    (text: string, language: string) => {
      const utterance = new SpeechSynthesisUtterance(text);
      const voice = voiceOf(language)!;
      utterance.voice = voice;
      utterance.lang = voice.lang;
      utterance.onend = utterance.onerror = () => setReading((now) => (now === text ? undefined : now));
      window.speechSynthesis.cancel();
      window.speechSynthesis.speak(utterance);
      setReading(text);
    },
    [voiceOf],
  );
  return { speaks, reading, read, stop };
}
