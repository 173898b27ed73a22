import type { History } from "../history/use-history.js";
import { useInterface } from "../i18n/i18n.js";
import { Icon } from "./icon.js";

/** What was described on this device before. */
export function PastPictures({ history }: { readonly history: History }) {
  const { say, language } = useInterface();
  if (history.past.length === 0) return null;
  const time = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" });
  return (
    <section className="past" aria-labelledby="past">
      <div className="section-head">
        <h2 id="past">{say.history}</h2>
        <button type="button" className="quiet" onClick={history.clear}>
          {say.clearHistory}
        </button>
      </div>
      <p className="note">{say.historyHint}</p>
      <ul>
        {history.past.map(({ id, name, when, thumbnail, captions }) => (
          <li key={id}>
            <img src={thumbnail} alt={name} width="72" height="72" loading="lazy" />
            <div>
              <p className="note">
                <time dateTime={new Date(when).toISOString()}>{time.format(when)}</time>
              </p>
              {Object.entries(captions).map(([code, text]) => (
                <p key={code} lang={code.slice(0, 2)} dir="auto">
                  {text}
                </p>
              ))}
            </div>
            <button
              type="button"
              className="tool"
              aria-label={say.remove(`${name}, ${time.format(when)}`)}
              onClick={() => history.remove(id)}
            >
              <Icon name="close" />
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}
