import type { CounterDefinition } from "./api.ts";

export interface CounterPickerProps {
  /** Those that are not on the page. */
  readonly counters: readonly CounterDefinition[];
  readonly onAdd: (name: string) => void;
}

export function CounterPicker({ counters, onAdd }: CounterPickerProps) {
  if (counters.length === 0) return null;
  return (
    <form
      class="picker"
      onSubmit={(event) => {
        event.preventDefault();
        onAdd(String(new FormData(event.currentTarget).get("counter")));
      }}
    >
      <label for="add-counter">Another counter</label>
      <select id="add-counter" name="counter">
        {counters.map(({ name }) => (
          <option key={name}>{name}</option>
        ))}
      </select>
      <button type="submit">Add</button>
    </form>
  );
}
