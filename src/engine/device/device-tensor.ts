import type { Pointer } from "../../native-library.js";
import type { DType, HostTensor } from "../engine.js";

/** A tensor in a device's memory, which stays there from one run to the next until it is released. */
export interface DeviceTensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** The runtime's value. */
  readonly value: Pointer;
}

/** What a run on a device reads: tensors that are there already, and others that are copied there. */
export type DeviceFeeds = Readonly<Record<string, DeviceTensor | HostTensor>>;

export const isOnDevice = (tensor: DeviceTensor | HostTensor): tensor is DeviceTensor => "value" in tensor;
