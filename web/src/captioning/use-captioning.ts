import { useEffect, useState } from "react";
import { useStored } from "../settings/use-stored.js";
import { type Captioning, type Failure, failureOf } from "./caption.js";
import type { DeviceCaptioning } from "./device.js";
import { connectServer } from "./server.js";

export interface CaptioningSource {
  /**
   * What describes pictures now; undefined until it is there. A picture that is to stay on the device never goes to the
   * server, also not while the model loads or when it cannot be loaded.
   */
  readonly captioning: Captioning | undefined;
  /** The server's model, once it is known. */
  readonly server: Captioning | undefined;
  /** Why the server, or the model on this device, is not to be had. */
  readonly failure: Failure | undefined;
  readonly onDevice: boolean;
  /** While the model loads: what share has come, 0 to 1. */
  readonly progress: number | undefined;
  setOnDevice(on: boolean): void;
}

/** The server, or the model on this device where that is switched on. */
export function useCaptioning(key: string | undefined): CaptioningSource {
  const [onDevice, setOnDevice] = useStored("on-device", false, (value) => typeof value === "boolean");
  const server = useServer(key);
  const files = server.captioning?.model.files;
  const device = useDevice(onDevice ? files : undefined);
  return {
    captioning: onDevice ? device.captioning : server.captioning,
    server: server.captioning,
    failure: (onDevice && device.failure) || server.failure,
    progress: device.progress,
    onDevice,
    setOnDevice,
  };
}

interface State<C extends Captioning> {
  readonly captioning?: C;
  readonly failure?: Failure;
  readonly progress?: number;
}

function useServer(key: string | undefined): State<Captioning> {
  const [state, setState] = useState<State<Captioning>>({});
  useEffect(() => {
    let current = true;
    connectServer(key)
      .then((captioning) => current && setState({ captioning }))
      .catch((error) => current && setState({ failure: failureOf(error) }));
    return () => {
      current = false;
    };
  }, [key]);
  return state;
}

/** @param files path of the model's files; undefined where none is to run */
function useDevice(files: string | undefined): State<DeviceCaptioning> {
  const [state, setState] = useState<State<DeviceCaptioning>>({});
  useEffect(() => {
    if (files === undefined) return setState({});
    const abort = new AbortController();
    const { signal } = abort;
    let loaded: DeviceCaptioning | undefined;
    const change = (next: State<DeviceCaptioning>): void => {
      if (!signal.aborted) setState(next);
    };
    const load = async (): Promise<void> => {
      // Its code, and ONNX Runtime's, is fetched by those who want it only.
      const { loadDevice } = await import("./device.js");
      loaded = await loadDevice({
        files,
        signal,
        onProgress: (done, total) => change({ progress: done / total }),
      });
      change({ captioning: loaded });
    };
    change({ progress: 0 });
    load().catch((error) => change({ failure: failureOf(error) }));
    return () => {
      abort.abort();
      loaded?.close();
    };
  }, [files]);
  return state;
}
