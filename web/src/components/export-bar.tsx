import { type Described, type Format, formatAll } from "../exports/formats.js";
import { useCopy } from "../exports/use-copy.js";
import { useInterface } from "../i18n/i18n.js";
import { Icon } from "./icon.js";

/** Everything on the page, to be taken elsewhere. */
export function ExportBar({
  all,
  onNote,
}: {
  readonly all: readonly Described[];
  readonly onNote: (note: string) => void;
}) {
  const { say } = useInterface();
  const copy = useCopy(onNote);
  const labels: readonly [Format, string][] = [
    ["text", say.asText],
    ["html", say.asHtml],
    ["json", say.asJson],
    ["csv", say.asCsv],
  ];
  return (
    <fieldset className="export-bar">
      <legend>{say.copyAll}</legend>
      {labels.map(([format, label]) => (
        <button key={format} type="button" onClick={() => copy(formatAll(all, format))}>
          {label}
        </button>
      ))}
      <button type="button" onClick={() => save("captions.csv", formatAll(all, "csv"))}>
        <Icon name="save" />
        {say.saveCsv}
      </button>
    </fieldset>
  );
}

function save(name: string, text: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
