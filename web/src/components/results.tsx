import { useMemo } from "react";
import type { View } from "../captioning/caption.js";
import type { Description } from "../captioning/use-descriptions.js";
import { useInterface } from "../i18n/i18n.js";
import type { Picture } from "../pictures/picture.js";
import { useSpeech } from "../speech/use-speech.js";
import { ExportBar } from "./export-bar.js";
import { PictureCard } from "./picture-card.js";

/** The pictures with their captions. */
export function Results({
  pictures,
  descriptions,
  languages,
  view,
  onRemove,
  onClear,
  onRetry,
  onNote,
}: {
  readonly pictures: readonly Picture[];
  readonly descriptions: ReadonlyMap<string, Description>;
  readonly languages: readonly string[];
  readonly view: View | undefined;
  readonly onRemove: (id: string) => void;
  readonly onClear: () => void;
  readonly onRetry: (id: string) => void;
  readonly onNote: (note: string) => void;
}) {
  const { say } = useInterface();
  const speech = useSpeech();
  const all = useMemo(
    () =>
      pictures.flatMap(({ id, name }) => {
        const described = descriptions.get(id)?.captions ?? {};
        const entries = languages.flatMap((code) =>
          described[code] ? [[code, described[code]] as const] : [],
        );
        return entries.length > 0 ? [{ image: name, captions: Object.fromEntries(entries) }] : [];
      }),
    [pictures, descriptions, languages],
  );
  return (
    <section className="results" id="captions" tabIndex={-1} aria-label={say.captions}>
      {all.length > 0 && (
        <div className="section-head">
          <p className="note">{say.heatHint}</p>
          <ExportBar all={all} onNote={onNote} />
          {pictures.length > 1 && (
            <button type="button" className="quiet" onClick={onClear}>
              {say.removeAll}
            </button>
          )}
        </div>
      )}
      {pictures.map((picture) => (
        <PictureCard
          key={picture.id}
          picture={picture}
          description={descriptions.get(picture.id)}
          onRemove={() => onRemove(picture.id)}
          onRetry={() => onRetry(picture.id)}
          {...{ languages, view, speech, onNote }}
        />
      ))}
      {/* Screen readers are told of the first picture, which is the newest, once it has been described. */}
      <p className="for-screen-readers" role="status">
        {announcement()}
      </p>
    </section>
  );

  function announcement(): string {
    const [newest] = pictures;
    const description = newest && descriptions.get(newest.id);
    const caption = languages[0] && description?.captions[languages[0]]?.[0];
    return newest && caption && !description.busy ? say.described(newest.name, caption.text) : "";
  }
}
