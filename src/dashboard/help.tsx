import type { RefObject } from "preact";
import { useState } from "preact/hooks";
import { shortcuts } from "./shortcuts.ts";

const KEYS = [
  ["p", "pause and resume"],
  ["[", "shorter span"],
  ["]", "longer span"],
  ["/", "find a key"],
  ["t", "light and dark"],
  ["?", "this page"],
] as const;

export function Help({ dialog }: { readonly dialog: RefObject<HTMLDialogElement | null> }) {
  const [areOn, setOn] = useState(shortcuts.areOn);
  return (
    <dialog ref={dialog} class="help" aria-labelledby="help-title">
      <h2 id="help-title">Reading this page</h2>
      <dl class="terms">
        <dt>Watermark</dt>
        <dd>How far event time has come for a counter. Buckets right of it are still filling.</dd>
        <dt>Open, final</dt>
        <dd>An open bucket can still change, a final one cannot: events for it now count as late.</dd>
        <dt>Unique</dt>
        <dd>An estimate, standard error 0.81 %. Counts and sums are exact.</dd>
        <dt>The address</dt>
        <dd>Holds all that you chose. Copy it to show somebody the same.</dd>
      </dl>
      <h3>Keyboard</h3>
      <dl class="terms keys">
        {KEYS.map(([key, what]) => (
          <div key={key}>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
      <label class="check">
        <input
          type="checkbox"
          checked={areOn}
          onChange={({ currentTarget: { checked } }) => {
            shortcuts.set(checked);
            setOn(checked);
          }}
        />{" "}
        Single-key shortcuts
      </label>
      <p>
        <a href="/docs">API reference</a> · <a href="/openapi.json">OpenAPI document</a> ·{" "}
        <a href="/metrics">metrics</a> · <a href="/readyz">readiness</a>
      </p>
      <button type="button" onClick={() => dialog.current?.close()}>
        Close
      </button>
    </dialog>
  );
}
