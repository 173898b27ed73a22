import { useEffect, useRef, useState } from "react";
import type { View } from "../captioning/caption.js";
import type { Description } from "../captioning/use-descriptions.js";
import { failureText, useInterface } from "../i18n/i18n.js";
import type { Picture } from "../pictures/picture.js";
import type { Speech } from "../speech/use-speech.js";
import { CaptionCard } from "./caption-card.js";
import { HeatMap } from "./heat-map.js";
import { Icon } from "./icon.js";

const ENGLISH = "en_XX";
/** A card that begins within this share of the window's height is seen well enough. */
const SEEN = 0.6;

/** A picture and what is said of it. */
export function PictureCard({
  picture,
  description,
  languages,
  view,
  speech,
  onRemove,
  onRetry,
  onNote,
}: {
  readonly picture: Picture;
  readonly description: Description | undefined;
  /** Those to be shown, by mBART code. */
  readonly languages: readonly string[];
  readonly view: View | undefined;
  readonly speech: Speech;
  readonly onRemove: () => void;
  readonly onRetry: () => void;
  readonly onNote: (note: string) => void;
}) {
  const { say, language } = useInterface();
  const [attention, setAttention] = useState<readonly number[]>();
  const card = useRef<HTMLElement>(null);
  // On a small screen, what was just added would come in out of sight.
  useEffect(() => {
    if (card.current!.getBoundingClientRect().top > innerHeight * SEEN) card.current!.scrollIntoView();
  }, []);
  const { captions = {}, partial = {}, translations = {}, failure, busy = true } = description ?? {};
  const english = captions[ENGLISH]?.[0]?.text;
  const own = languages.find((code) => code.startsWith(language)) ?? languages[0];
  return (
    <article
      ref={card}
      className="picture"
      aria-labelledby={`name-${picture.id}`}
      aria-busy={busy && !failure}
    >
      <figure>
        <div className="picture-stage">
          <img src={picture.src} alt={(own && captions[own]?.[0]?.text) || picture.name} />
          {attention && view && picture.size && (
            <HeatMap attention={attention} view={view} picture={picture.size} />
          )}
        </div>
        <figcaption>
          <h2 id={`name-${picture.id}`}>{picture.name}</h2>
          <button type="button" className="tool" aria-label={say.remove(picture.name)} onClick={onRemove}>
            <Icon name="close" />
          </button>
        </figcaption>
      </figure>
      {failure ? (
        <div className="failure" role="alert">
          <p>{failureText(say, failure)}</p>
          <button type="button" onClick={onRetry}>
            <Icon name="again" />
            {say.retry}
          </button>
        </div>
      ) : (
        <ol className="captions">
          {languages.map((code) => (
            <CaptionCard
              key={code}
              language={code}
              captions={captions[code]}
              partial={partial[code]}
              own={code === ENGLISH ? undefined : english}
              translation={translations[code]}
              onLook={setAttention}
              {...{ speech, onNote }}
            />
          ))}
        </ol>
      )}
    </article>
  );
}
