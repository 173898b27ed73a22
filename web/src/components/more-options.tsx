import { type CaptionSettings, DEFAULT_SETTINGS } from "../captioning/caption.js";
import { useInterface } from "../i18n/i18n.js";
import { Icon } from "./icon.js";
import { RangeField } from "./range-field.js";

/** How captions are made, behind a fold. */
export function MoreOptions({
  settings,
  onChange,
}: {
  readonly settings: CaptionSettings;
  readonly onChange: (settings: CaptionSettings) => void;
}) {
  const { say } = useInterface();
  const change = (part: Partial<CaptionSettings>): void => onChange({ ...settings, ...part });
  const drawing = settings.diversity > 0;
  const field = (name: Exclude<keyof CaptionSettings, "seed">) => ({
    value: settings[name],
    onChange: (value: number) => change({ [name]: value }),
  });
  return (
    <details className="more">
      <summary>{say.more}</summary>
      <div className="more-fields">
        <RangeField
          label={say.beams}
          hint={say.beamsHint}
          min={1}
          max={8}
          disabled={drawing}
          {...field("beams")}
        />
        <RangeField label={say.length} hint={say.lengthHint} min={6} max={64} {...field("maxLength")} />
        <RangeField
          label={say.diversity}
          hint={say.diversityHint}
          min={0}
          max={2}
          step={0.1}
          {...field("diversity")}
        />
        <RangeField
          label={say.numCaptions}
          hint={say.numCaptionsHint}
          min={1}
          max={drawing ? 8 : settings.beams}
          {...field("numCaptions")}
        />
        <div className="more-buttons">
          {drawing && (
            <button type="button" onClick={() => change({ seed: settings.seed + 1 })}>
              <Icon name="again" />
              {say.drawAgain}
            </button>
          )}
          <button type="button" className="quiet" onClick={() => onChange(DEFAULT_SETTINGS)}>
            {say.reset}
          </button>
        </div>
      </div>
    </details>
  );
}
