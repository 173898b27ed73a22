import { useState } from "react";
import { useInterface } from "../i18n/i18n.js";
import { CODES, languageName, matches, sortedCodes } from "../settings/languages.js";
import { Icon } from "./icon.js";

/** The languages to describe in: those in use and those the model knows as chips, all 52 behind a search. */
export function LanguageChips({
  chosen,
  known,
  onChange,
}: {
  /** mBART codes. */
  readonly chosen: readonly string[];
  /** Undefined until the model is there. */
  readonly known: readonly string[] | undefined;
  readonly onChange: (chosen: readonly string[]) => void;
}) {
  const { say, language } = useInterface();
  const [open, setOpen] = useState(false);
  const [typed, setTyped] = useState("");
  const toggle = (code: string): void =>
    onChange(CODES.filter((one) => (one === code ? !chosen.includes(one) : chosen.includes(one))));
  const chip = (code: string) => {
    const unknown = known !== undefined && !known.includes(code);
    return (
      <li key={code}>
        <button
          type="button"
          className="chip"
          aria-pressed={chosen.includes(code) && !unknown}
          disabled={unknown}
          title={unknown ? say.unknownLanguage : undefined}
          onClick={() => toggle(code)}
        >
          {languageName(code, language)}
        </button>
      </li>
    );
  };
  const near = CODES.filter((code, i) => i < 4 || (known?.includes(code) && chosen.includes(code)));
  const found = sortedCodes(language).filter((code) => matches(code, typed, language));
  return (
    <fieldset className="languages">
      <legend>{say.languages}</legend>
      <ul className="chips">
        {near.map(chip)}
        <li>
          <button type="button" className="chip is-quiet" aria-expanded={open} onClick={() => setOpen(!open)}>
            <Icon name="search" />
            {say.allLanguages}
          </button>
        </li>
      </ul>
      {open && (
        <div className="all-languages">
          <input
            type="search"
            aria-label={say.findLanguage}
            placeholder={say.findLanguage}
            value={typed}
            onChange={({ target }) => setTyped(target.value)}
          />
          <ul className="chips">{found.map(chip)}</ul>
          <p role="status">{found.length === 0 && say.noLanguage}</p>
        </div>
      )}
    </fieldset>
  );
}
