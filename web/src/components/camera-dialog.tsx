import { useEffect, useRef, useState } from "react";
import { useInterface } from "../i18n/i18n.js";

/** Takes a picture with the device's camera, which is on for as long as this is open. */
export function CameraDialog({
  onPicture,
  onClose,
}: {
  readonly onPicture: (file: File) => void;
  readonly onClose: () => void;
}) {
  const { say } = useInterface();
  const dialog = useRef<HTMLDialogElement>(null);
  const video = useRef<HTMLVideoElement>(null);
  const [state, setState] = useState<"starting" | "ready" | "failed">("starting");

  useEffect(() => {
    dialog.current!.showModal();
    let stream: MediaStream | undefined;
    let closed = false;
    const start = async (): Promise<void> => {
      // Undefined where the page is not in a secure context.
      stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
      if (closed) return stop();
      video.current!.srcObject = stream;
      await video.current!.play();
      setState("ready");
    };
    const stop = (): void => {
      for (const track of stream?.getTracks() ?? []) track.stop();
    };
    start().catch(() => {
      if (!closed) setState("failed");
    });
    return () => {
      closed = true;
      stop();
    };
  }, []);

  const take = async (): Promise<void> => {
    const { videoWidth, videoHeight } = video.current!;
    const canvas = document.createElement("canvas");
    canvas.width = videoWidth;
    canvas.height = videoHeight;
    canvas.getContext("2d")!.drawImage(video.current!, 0, 0);
    const blob = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.92));
    onPicture(new File([blob!], `${say.cameraPicture}.jpg`, { type: "image/jpeg" }));
    dialog.current!.close();
  };

  return (
    <dialog ref={dialog} className="camera" aria-label={say.cameraTitle} onClose={onClose}>
      {state === "failed" ? (
        <p role="alert">{say.noCamera}</p>
      ) : (
        <video ref={video} muted playsInline aria-label={say.cameraTitle} />
      )}
      <div className="dialog-buttons">
        <button type="button" onClick={() => dialog.current!.close()}>
          {say.cancel}
        </button>
        {state !== "failed" && (
          <button type="button" className="primary" disabled={state !== "ready"} onClick={take}>
            {say.takePicture}
          </button>
        )}
      </div>
    </dialog>
  );
}
