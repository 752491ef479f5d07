import { useState } from "preact/hooks";
import type { CounterDefinition } from "./api.ts";

/** Shown until there is something to count. */
export function FirstEvent({ counters }: { readonly counters: readonly CounterDefinition[] }) {
  const type = exampleType(counters[0]);
  const event = JSON.stringify({ type, subject: "/" }).replaceAll("'", "'\\''");
  const curl = `curl -H 'content-type: application/json' \\
  -d '${event}' \\
  '${location.origin}/v1/events?wait=applied'`;
  return (
    <section class="panel first" aria-labelledby="first-title">
      <h2 id="first-title">No event yet</h2>
      <p>The service is running and waits for the first one. Send it:</p>
      <Command text={curl} label="Command that sends an event" />
      <p>Or stop it, and look at a made-up shop in its place, with data of its own:</p>
      <Command text="npx tallymark demo" label="Command that starts the demo" />
      <p class="quiet">This page follows by itself, there is no need to reload it.</p>
    </section>
  );
}

/** A type that the first counter counts. */
function exampleType(counter: CounterDefinition | undefined): string {
  const [first = "*"] = [counter?.event ?? "*"].flat();
  return first === "*" ? "page.view" : first;
}

function Command({ text, label }: { readonly text: string; readonly label: string }) {
  const [isCopied, setCopied] = useState(false);
  const copy = async () => {
    await navigator.clipboard.writeText(text);
    setCopied(true);
  };
  return (
    <div class="command">
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard */}
      <section tabIndex={0} aria-label={label}>
        <pre>{text}</pre>
      </section>
      {/* Browsers have a clipboard for https and this very machine alone. */}
      {isSecureContext && (
        <button type="button" aria-label={`Copy: ${label}`} onClick={copy}>
          {isCopied ? "Copied" : "Copy"}
        </button>
      )}
    </div>
  );
}
