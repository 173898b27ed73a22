import { useState } from "react";
import { useInterface } from "../i18n/i18n.js";

/** Asks for the key of a server that wants one. */
export function KeyForm({ onKey }: { readonly onKey: (key: string) => void }) {
  const { say } = useInterface();
  const [typed, setTyped] = useState("");
  return (
    <form
      className="key-form"
      onSubmit={(event) => {
        event.preventDefault();
        onKey(typed);
      }}
    >
      <label htmlFor="key">{say.apiKey}</label>
      <input
        id="key"
        type="password"
        required
        autoComplete="off"
        value={typed}
        onChange={({ target }) => setTyped(target.value)}
      />
      <button type="submit">{say.apiKeyUse}</button>
    </form>
  );
}
