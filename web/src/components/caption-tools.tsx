import { altAttribute } from "../exports/formats.js";
import { useCopy } from "../exports/use-copy.js";
import { useInterface } from "../i18n/i18n.js";
import type { Speech } from "../speech/use-speech.js";
import { Icon } from "./icon.js";

/** What can be done with a caption: have it read, copy it. */
export function CaptionTools({
  text,
  language,
  name,
  speech,
  onNote,
}: {
  readonly text: string;
  readonly language: string;
  /** Of the language. */
  readonly name: string;
  readonly speech: Speech;
  readonly onNote: (note: string) => void;
}) {
  const { say } = useInterface();
  const copy = useCopy(onNote);
  const isReading = speech.reading === text;
  const tool = (icon: "copy" | "alt" | "speak" | "stop", label: string, onClick: () => void) => (
    <button type="button" className="tool" aria-label={label} title={label} onClick={onClick}>
      <Icon name={icon} />
    </button>
  );
  return (
    <div className="caption-tools">
      {speech.speaks(language) &&
        (isReading
          ? tool("stop", say.stopSpeaking, speech.stop)
          : tool("speak", say.speak(name), () => speech.read(text, language)))}
      {tool("copy", say.copyText(name), () => copy(text))}
      {tool("alt", say.copyAlt(name), () => copy(altAttribute(text)))}
    </div>
  );
}
