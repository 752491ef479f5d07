import type { Key } from "./api.ts";
import { formatKey } from "./format.ts";
import { colourVariable, dashOf } from "./palette.ts";
import type { PanelState } from "./url-state.ts";

export interface LegendProps {
  readonly panel: PanelState;
  readonly onToggle: (key: Key) => void;
  readonly onTotal: (isShown: boolean) => void;
}

/** Which line is which; keys are taken out here, and the total is hidden where it dwarfs them. */
export function Legend({ panel: { keys, total }, onToggle, onTotal }: LegendProps) {
  return (
    <ul class="legend" aria-label="Lines of the chart">
      <li>
        <button
          type="button"
          class="chip"
          aria-pressed={total || keys.length === 0}
          disabled={keys.length === 0}
          onClick={() => onTotal(!total)}
        >
          <Swatch colour={0} /> total
        </button>
      </li>
      {keys.map((key, i) => (
        <li key={JSON.stringify(key)}>
          <button type="button" class="chip" aria-label={`Remove ${formatKey(key)}`} onClick={() => onToggle(key)}>
            <Swatch colour={i + 1} /> {formatKey(key)} <span aria-hidden="true">✕</span>
          </button>
        </li>
      ))}
    </ul>
  );
}

function Swatch({ colour }: { readonly colour: number }) {
  return (
    <svg class="swatch" aria-hidden="true" viewBox="0 0 18 4">
      <line
        x1="0"
        y1="2"
        x2="18"
        y2="2"
        style={{ stroke: colourVariable(colour) }}
        stroke-dasharray={dashOf(colour).join(" ")}
      />
    </svg>
  );
}
