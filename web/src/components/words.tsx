import { type CSSProperties, type KeyboardEvent, useMemo, useRef, useState } from "react";
import type { Caption } from "../captioning/caption.js";
import { useInterface } from "../i18n/i18n.js";
import { regionOf } from "../words/heat.js";
import { type Word, wordsOf } from "../words/words.js";

/**
 * A caption whose words show what they looked at, by pointer or by arrow keys. Screen readers get the sentence, and the
 * words as a group beside it.
 */
export function Words({
  caption,
  language,
  languageName,
  onLook,
}: {
  readonly caption: Caption;
  readonly language: string;
  readonly languageName: string;
  /** Told of the attention of the word that is pointed at, and undefined when none is any more. */
  readonly onLook: (attention: readonly number[] | undefined) => void;
}) {
  const { say } = useInterface();
  const words = useMemo(() => wordsOf(caption, language), [caption, language]);
  const places = words.flatMap(({ attention }, i) => (attention ? [i] : []));
  const [current, setCurrent] = useState(0);
  const group = useRef<HTMLFieldSetElement>(null);

  /** The arrow keys go from word to word, so that a caption is one stop of the tab key. */
  const onKeyDown = (event: KeyboardEvent): void => {
    const backwards = getComputedStyle(group.current!).direction === "rtl";
    const steps: Record<string, number> = {
      ArrowRight: backwards ? -1 : 1,
      ArrowLeft: backwards ? 1 : -1,
      Home: -places.length,
      End: places.length,
    };
    if (event.key === "Escape") (event.target as HTMLElement).blur();
    const step = steps[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const next = Math.min(places.length - 1, Math.max(0, current + step));
    setCurrent(next);
    group.current!.querySelectorAll("button")[next]?.focus();
  };

  if (places.length === 0) return <p className="caption-text">{caption.text}</p>;
  return (
    <>
      <p className="for-screen-readers">{caption.text}</p>
      <fieldset
        ref={group}
        className="caption-text words"
        aria-label={say.wordsOf(languageName)}
        onKeyDown={onKeyDown}
      >
        {words.map((word, i) => {
          const place = places.indexOf(i);
          // biome-ignore lint/suspicious/noArrayIndexKey: a word is its place in the caption
          if (place < 0) return <span key={i}>{word.text}</span>;
          return (
            <button
              // biome-ignore lint/suspicious/noArrayIndexKey: likewise
              key={i}
              type="button"
              className="word"
              tabIndex={place === current ? 0 : -1}
              aria-label={describe(word)}
              style={word.probability === undefined ? undefined : sureness(word.probability)}
              onFocus={() => {
                setCurrent(place);
                onLook(word.attention);
              }}
              onBlur={() => onLook(undefined)}
              onClick={({ currentTarget }) => currentTarget.focus()} // Not every browser does so by itself.
              onPointerEnter={({ pointerType }) => pointerType === "mouse" && onLook(word.attention)}
              onPointerLeave={({ pointerType }) => pointerType === "mouse" && onLook(undefined)}
            >
              {word.text}
            </button>
          );
        })}
      </fieldset>
    </>
  );

  function describe({ text, attention, probability }: Word): string {
    const looked = say.looked(text, say.regions[regionOf(attention!)]);
    return probability === undefined ? looked : `${looked}, ${say.sure(Math.round(probability * 100))}`;
  }
}

/** What the style sheet draws the bar below a word with. */
function sureness(probability: number): CSSProperties {
  return { "--sure": probability.toFixed(3) } as CSSProperties;
}
