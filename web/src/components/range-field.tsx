import { useId } from "react";

/** A number on a slider, with its name, its value and what it means. */
export function RangeField({
  label,
  hint,
  value,
  min,
  max,
  step = 1,
  disabled = false,
  onChange,
}: {
  readonly label: string;
  readonly hint: string;
  readonly value: number;
  readonly min: number;
  readonly max: number;
  readonly step?: number;
  readonly disabled?: boolean;
  readonly onChange: (value: number) => void;
}) {
  const id = useId();
  const shown = Math.min(max, value);
  return (
    <div className="range-field">
      <label htmlFor={id}>{label}</label>
      <output htmlFor={id}>{disabled ? "–" : shown}</output>
      <input
        id={id}
        type="range"
        aria-describedby={`${id}-hint`}
        {...{ min, max, step, disabled }}
        value={shown}
        onChange={({ target }) => onChange(Number(target.value))}
      />
      <p className="note" id={`${id}-hint`}>
        {hint}
      </p>
    </div>
  );
}
