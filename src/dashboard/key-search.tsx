import { useEffect, useState } from "preact/hooks";
import type { CounterDefinition, Key } from "./api.ts";
import { formatKey } from "./format.ts";
import { useLoaded } from "./hooks.ts";
import { request } from "./rest.ts";
import { KEYS_MAX, sameKey } from "./url-state.ts";

/** Rest of the fingers before a search is sent, ms. */
const TYPING_MS = 150;
const FOUND_MAX = 20;

export interface KeySearchProps {
  readonly definition: CounterDefinition;
  readonly chosen: readonly Key[];
  readonly onToggle: (key: Key) => void;
}

/** Finds keys by how their first field begins, to draw them beside each other. */
export function KeySearch({ definition: { name, by }, chosen, onToggle }: KeySearchProps) {
  const [text, setText] = useState("");
  const prefix = useSettled(text);
  const { answer, failure } = useLoaded(
    prefix === "" ? null : `${name} ${prefix}`,
    (signal) => {
      const query = new URLSearchParams({ prefix, limit: String(FOUND_MAX) });
      return request<{ keys: Key[]; cursor: string | null }>(`/v1/counters/${name}/keys?${query}`, { signal });
    },
    null,
  );
  const found = prefix === "" ? null : answer;
  const id = `search-${name}`;
  return (
    <search class="key-search">
      <label for={id}>Find keys: {by[0]} begins with</label>
      <input
        id={id}
        type="search"
        autocomplete="off"
        spellcheck={false}
        value={text}
        onInput={({ currentTarget }) => setText(currentTarget.value)}
        onKeyDown={({ key }) => key === "Escape" && setText("")}
      />
      <p class="quiet" role="status">
        {failure ? failure.message : found && describe(found.keys.length, found.cursor !== null)}
      </p>
      {found && found.keys.length > 0 && (
        <ul class="found">
          {found.keys.map((key) => {
            const isChosen = chosen.some((other) => sameKey(other, key));
            return (
              <li key={JSON.stringify(key)}>
                <button
                  type="button"
                  class="chip"
                  aria-pressed={isChosen}
                  disabled={!isChosen && chosen.length >= KEYS_MAX}
                  onClick={() => onToggle(key)}
                >
                  {formatKey(key)}
                </button>
              </li>
            );
          })}
        </ul>
      )}
    </search>
  );
}

function describe(count: number, isMore: boolean): string {
  if (count === 0) return "No key begins like this.";
  return isMore ? `The first ${count} keys; type on to narrow them.` : `${count} ${count === 1 ? "key" : "keys"}.`;
}

/** A text once it has stood still. */
function useSettled(text: string): string {
  const [settled, setSettled] = useState(text);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(text), TYPING_MS);
    return () => clearTimeout(timer);
  }, [text]);
  return settled;
}
