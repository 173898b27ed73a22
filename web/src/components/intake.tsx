import { useRef, useState } from "react";
import type { Failure } from "../captioning/caption.js";
import { useInterface } from "../i18n/i18n.js";
import { AddressForm } from "./address-form.js";
import { CameraDialog } from "./camera-dialog.js";
import { Icon } from "./icon.js";

/** Where pictures come in: files, the camera, an address. Dropping and pasting work on the whole page. */
export function Intake({
  isEmpty,
  failure,
  onFiles,
  onAddress,
}: {
  readonly isEmpty: boolean;
  readonly failure: Failure | undefined;
  readonly onFiles: (files: readonly File[]) => void;
  readonly onAddress: (address: string) => Promise<boolean>;
}) {
  const { say } = useInterface();
  const input = useRef<HTMLInputElement>(null);
  const [camera, setCamera] = useState(false);
  return (
    <section className={isEmpty ? "intake" : "intake is-compact"} aria-label={say.addMore}>
      <h1 className={isEmpty ? undefined : "for-screen-readers"}>{say.heading}</h1>
      {isEmpty && <p className="lead">{say.lead}</p>}
      <div className="intake-ways">
        <button type="button" className="primary" onClick={() => input.current!.click()}>
          <Icon name={isEmpty ? "picture" : "add"} />
          {isEmpty ? say.choose : say.addMore}
        </button>
        <button type="button" onClick={() => setCamera(true)}>
          <Icon name="camera" />
          {say.camera}
        </button>
        <span className="paste-hint">
          {say.pasteHint} <kbd>Ctrl V</kbd>
        </span>
        <AddressForm failure={failure} onAddress={onAddress} />
      </div>
      <input
        ref={input}
        type="file"
        accept="image/*"
        multiple
        hidden
        aria-label={say.choose}
        onChange={({ target }) => {
          onFiles([...target.files!]);
          target.value = ""; // The same file may be chosen again.
        }}
      />
      {camera && <CameraDialog onPicture={(file) => onFiles([file])} onClose={() => setCamera(false)} />}
    </section>
  );
}
