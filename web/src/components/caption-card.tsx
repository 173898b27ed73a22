import type { Caption } from "../captioning/caption.js";
import { useInterface } from "../i18n/i18n.js";
import { languageName } from "../settings/languages.js";
import type { Speech } from "../speech/use-speech.js";
import { CaptionTools } from "./caption-tools.js";
import { GrowingText } from "./growing-text.js";
import { Score } from "./score.js";
import { Words } from "./words.js";

/** A language's captions of a picture. */
export function CaptionCard({
  language,
  captions,
  partial,
  own,
  translation,
  speech,
  onLook,
  onNote,
}: {
  readonly language: string;
  readonly captions: readonly Caption[] | undefined;
  /** What there is of the caption so far. */
  readonly partial: string | undefined;
  /** The model's own English caption, beside one in another language. */
  readonly own: string | undefined;
  /** The caption in English, "" while it is translated; undefined where it is not, and the own English stands for it. */
  readonly translation: string | undefined;
  readonly speech: Speech;
  readonly onLook: (attention: readonly number[] | undefined) => void;
  readonly onNote: (note: string) => void;
}) {
  const { say, language: reader } = useInterface();
  const name = languageName(language, reader);
  const [best, ...others] = captions ?? [];
  const iso = language.slice(0, 2);
  const gloss = translation ?? own;
  return (
    <li className="caption" data-language={iso}>
      <h3>{name}</h3>
      <div className="caption-body">
        <div lang={iso} dir="auto">
          {best ? (
            <Words caption={best} language={language} languageName={name} onLook={onLook} />
          ) : partial ? (
            <GrowingText text={partial} />
          ) : (
            <p className="caption-text is-waiting" lang={reader}>
              {say.waiting}
            </p>
          )}
        </div>
        {best && gloss && (
          <p className="gloss">
            <span className="gloss-label">{translation ? say.translation : say.gloss}</span>{" "}
            <span lang="en">{gloss}</span>
          </p>
        )}
        {best && (
          <div className="caption-foot">
            <Score value={best.score} />
            {others.length > 0 && (
              <details className="alternatives">
                <summary>{say.alternatives(others.length)}</summary>
                <ol lang={iso} dir="auto">
                  {others.map(({ text, score }) => (
                    <li key={`${score} ${text}`}>
                      <span>{text}</span> <Score value={score} />
                    </li>
                  ))}
                </ol>
              </details>
            )}
          </div>
        )}
      </div>
      {best && <CaptionTools text={best.text} {...{ language, name, speech, onNote }} />}
    </li>
  );
}
