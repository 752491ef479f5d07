import { useRef } from "preact/hooks";
import { Connection } from "./connection.tsx";
import { Help } from "./help.tsx";
import { usePage } from "./hooks.ts";
import { Choice } from "./panel.tsx";
import { useShortcuts } from "./shortcuts.ts";
import type { ViewState } from "./url-state.ts";

const SPANS = ["5m", "15m", "1h", "6h", "24h", "7d", "30d", "365d"];

export interface HeaderProps {
  readonly view: ViewState;
  readonly change: (fields: Partial<ViewState>) => void;
  readonly toggleTheme: () => void;
}

export function Header({ view: { last, paused }, change, toggleTheme }: HeaderProps) {
  const { theme } = usePage();
  const help = useRef<HTMLDialogElement>(null);
  const step = (by: number) => {
    const next = SPANS[SPANS.indexOf(last) + by];
    if (next) change({ last: next });
  };
  useShortcuts({
    p: () => change({ paused: !paused }),
    t: toggleTheme,
    "[": () => step(-1),
    "]": () => step(1),
    "/": () => document.querySelector<HTMLInputElement>(".key-search input")?.focus(),
    "?": () => help.current?.showModal(),
  });
  const spans = SPANS.includes(last) ? SPANS : [last, ...SPANS];
  return (
    <header class="top">
      <h1>Tallymark</h1>
      <Connection />
      <div class="controls">
        <Choice
          label="Span"
          value={last}
          options={spans.map((span) => [span, `last ${span}`] as const)}
          onChoose={(value) => change({ last: value })}
        />
        <button type="button" aria-pressed={paused} onClick={() => change({ paused: !paused })}>
          {paused ? "Resume" : "Pause"}
        </button>
        <button type="button" onClick={toggleTheme} aria-label={`Use the ${theme === "dark" ? "light" : "dark"} theme`}>
          {theme === "dark" ? "Light" : "Dark"}
        </button>
        <button
          type="button"
          class="icon"
          aria-label="Help and keyboard shortcuts"
          onClick={() => help.current?.showModal()}
        >
          ?
        </button>
      </div>
      <Help dialog={help} />
    </header>
  );
}
