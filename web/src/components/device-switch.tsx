import type { CaptioningSource } from "../captioning/use-captioning.js";
import { useInterface } from "../i18n/i18n.js";

/** Whether the model runs on the server or here. */
export function DeviceSwitch({ source }: { readonly source: CaptioningSource }) {
  const { say } = useInterface();
  const { onDevice, progress, server, setOnDevice } = source;
  const isShared = server?.model.files !== undefined;
  return (
    <div className="device">
      <button
        type="button"
        role="switch"
        className="switch"
        aria-checked={onDevice}
        aria-describedby="device-hint"
        disabled={server && !isShared && !onDevice}
        onClick={() => setOnDevice(!onDevice)}
      >
        <span className="switch-track" aria-hidden="true" />
        {say.onDevice}
      </button>
      {progress === undefined ? (
        <p className="note" id="device-hint">
          {server && !isShared ? say.failures["file-not-found"] : say.onDeviceHint}
        </p>
      ) : (
        <p className="note" id="device-hint">
          <progress value={progress} aria-label={say.loadingModel(Math.round(progress * 100))} />
          {say.loadingModel(Math.round(progress * 100))}
        </p>
      )}
    </div>
  );
}
