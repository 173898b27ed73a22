import { useInterface } from "../i18n/i18n.js";

/** A caption's score, as the API gives it. */
export function Score({ value }: { readonly value: number }) {
  const { say, language } = useInterface();
  const shown = value.toLocaleString(language, { minimumFractionDigits: 2, maximumFractionDigits: 4 });
  return (
    <span className="score" title={say.scoreHint} lang={language}>
      <span className="score-label">{say.score}</span> {shown.replace("-", "−")}
    </span>
  );
}
