import { useCallback, useEffect, useMemo, useState } from "react";
import { type CaptionSettings, DEFAULT_SETTINGS } from "./captioning/caption.js";
import { useCaptioning } from "./captioning/use-captioning.js";
import { useDescriptions } from "./captioning/use-descriptions.js";
import { DeviceSwitch } from "./components/device-switch.js";
import { DropTarget } from "./components/drop-target.js";
import { Gallery } from "./components/gallery.js";
import { Intake } from "./components/intake.js";
import { KeyForm } from "./components/key-form.js";
import { LanguageChips } from "./components/language-chips.js";
import { MoreOptions } from "./components/more-options.js";
import { Notes } from "./components/notes.js";
import { PageHeader } from "./components/page-header.js";
import { PastPictures } from "./components/past-pictures.js";
import { Results } from "./components/results.js";
import { useHistory } from "./history/use-history.js";
import { useKeeping } from "./history/use-keeping.js";
import { failureText, useInterface } from "./i18n/i18n.js";
import { usePictures } from "./pictures/use-pictures.js";
import { CODES } from "./settings/languages.js";
import { useSettled } from "./settings/use-settled.js";
import { useStored } from "./settings/use-stored.js";

const ENGLISH = "en_XX";
/** How long a note of what was done is seen, in milliseconds. */
const NOTE_TIME = 3000;
/** How long a slider rests before captions are made anew. */
const SETTLE_TIME = 250;

export function App() {
  const { say } = useInterface();
  const [key, setKey] = useState<string>();
  const source = useCaptioning(key);
  const intake = usePictures(key);
  const [chosen, setChosen] = useStored("languages", CODES.slice(0, 4), isCodes);
  const [settings, setSettings] = useStored("settings", DEFAULT_SETTINGS, isSettings);
  const history = useHistory();
  const [note, setNote] = useState("");

  const known = source.captioning?.model.languages;
  const shown = useMemo(() => chosen.filter((code) => !known || known.includes(code)), [chosen, known]);
  // English is asked for along with others: it stands beside them as their gloss.
  const asked = useMemo(
    () => (known?.includes(ENGLISH) ? [...new Set([...shown, ENGLISH])] : shown),
    [shown, known],
  );
  const { descriptions, retry } = useDescriptions(
    intake.pictures,
    asked,
    useSettled(settings, SETTLE_TIME),
    source.captioning,
  );
  useKeeping(intake.pictures, descriptions, history);

  useEffect(() => {
    if (note === "") return;
    const timer = setTimeout(() => setNote(""), NOTE_TIME);
    return () => clearTimeout(timer);
  }, [note]);

  const { addFiles, addAddress, pictures } = intake;
  const onFiles = useCallback((files: readonly File[]) => void addFiles(files), [addFiles]);
  const onAddress = useCallback((address: string) => void addAddress(address), [addAddress]);
  const isEmpty = pictures.length === 0;
  return (
    <>
      <PageHeader />
      <main>
        <DropTarget onFiles={onFiles} onAddress={onAddress} />
        <Intake isEmpty={isEmpty} failure={intake.failure} onFiles={onFiles} onAddress={addAddress} />
        {isEmpty && <Gallery bundled={source.server?.model.bundled ?? false} onAddress={onAddress} />}
        <section className="options">
          <LanguageChips chosen={chosen} known={known} onChange={setChosen} />
          <DeviceSwitch source={source} />
          <MoreOptions settings={settings} onChange={setSettings} />
          {source.failure?.code === "unauthorized" && <KeyForm onKey={setKey} />}
          {source.failure && (
            <p className="failure" role="alert">
              {failureText(say, source.failure)}
            </p>
          )}
        </section>
        <Results
          pictures={pictures}
          descriptions={descriptions}
          languages={shown}
          view={source.captioning?.model.view}
          onRemove={intake.remove}
          onClear={intake.clear}
          onRetry={retry}
          onNote={setNote}
        />
        <PastPictures history={history} />
      </main>
      <footer>
        <p>{say.privacy}</p>
        <a href="docs">{say.api}</a>
      </footer>
      <Notes note={note} />
    </>
  );
}

function isCodes(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((code) => CODES.includes(code));
}

function isSettings(value: unknown): value is CaptionSettings {
  const kept = value as CaptionSettings | null;
  return (
    typeof kept === "object" &&
    kept !== null &&
    Object.keys(DEFAULT_SETTINGS).every((name) => Number.isFinite(kept[name as keyof CaptionSettings]))
  );
}
