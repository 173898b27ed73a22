import { useId, useState } from "react";
import type { Failure } from "../captioning/caption.js";
import { failureText, useInterface } from "../i18n/i18n.js";

/** A picture by its address. */
export function AddressForm({
  failure,
  onAddress,
}: {
  readonly failure: Failure | undefined;
  /** @returns whether a picture came */
  readonly onAddress: (address: string) => Promise<boolean>;
}) {
  const { say } = useInterface();
  const [address, setAddress] = useState("");
  const [busy, setBusy] = useState(false);
  const id = useId();
  const fetchIt = async (): Promise<void> => {
    setBusy(true);
    if (await onAddress(address)) setAddress("");
    setBusy(false);
  };
  return (
    <form
      className="address"
      onSubmit={(event) => {
        event.preventDefault();
        void fetchIt();
      }}
    >
      <input
        type="url"
        required
        aria-label={say.address}
        aria-describedby={failure ? id : undefined}
        placeholder="https://…"
        value={address}
        onChange={({ target }) => setAddress(target.value)}
      />
      <button type="submit" disabled={busy}>
        {say.addressAdd}
      </button>
      <p className="failure" id={id} role="alert">
        {failure && failureText(say, failure)}
      </p>
    </form>
  );
}
