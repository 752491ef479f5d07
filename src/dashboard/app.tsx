import { useEffect } from "preact/hooks";
import { AlertsSection } from "./alerts/section.tsx";
import { countFiring, useAlerts } from "./alerts/use-alerts.ts";
import type { CounterDefinition, Stats } from "./api.ts";
import { CounterPicker } from "./counter-picker.tsx";
import { FirstEvent } from "./first-event.tsx";
import { Header } from "./header.tsx";
import { PageContext, useConnection, useFeed, useLoaded } from "./hooks.ts";
import { KeyForm } from "./key-form.tsx";
import type { LiveConnection } from "./live.ts";
import { Panel } from "./panel.tsx";
import { request } from "./rest.ts";
import { StatsStrip } from "./stats-strip.tsx";
import { useTheme } from "./theme.ts";
import { initialPanel, type PanelState, type ViewState } from "./url-state.ts";
import { useView } from "./use-view.ts";

const COUNTERS_EVERY_MS = 10_000;
/** Panels shown before anything was chosen. */
const PANELS_AT_FIRST = 2;

export function App({ live }: { readonly live: LiveConnection }) {
  const [view, change] = useView();
  const [theme, toggleTheme] = useTheme();
  return (
    <PageContext.Provider value={{ live, paused: view.paused, theme }}>
      <a class="skip" href="#main">
        Skip to the numbers
      </a>
      <Header {...{ view, change, toggleTheme }} />
      <Main {...{ view, change }} />
    </PageContext.Provider>
  );
}

interface MainProps {
  readonly view: ViewState;
  readonly change: (fields: Partial<ViewState>) => void;
}

function Main({ view, change }: MainProps) {
  const counters = useLoaded("counters", loadCounters, COUNTERS_EVERY_MS);
  const stats = useFeed({ feed: "stats", every: "1s" });
  const alerts = useAlerts();
  const state = useConnection();
  // After an outage there may be other counters, and nobody wants to wait for the next look.
  useEffect(() => {
    if (state === "open") counters.again();
  }, [state]);

  const { answer, failure } = counters;
  const isEmpty = stats.data?.counters.every(({ watermark }) => watermark === null) ?? false;
  const panels = view.panels ?? (answer ?? []).slice(0, PANELS_AT_FIRST).map(({ name }) => initialPanel(name));
  const setPanels = (next: readonly PanelState[]) => change({ panels: next });
  return (
    <main id="main" tabIndex={-1}>
      {failure?.status === 401 || failure?.status === 403 ? (
        <KeyForm reason={failure.message} />
      ) : (
        failure && <p class="fault" role="status">{`Cannot load the counters: ${failure.message}. Trying again.`}</p>
      )}
      {stats.failure && <p class="fault">{stats.failure.message}</p>}
      <StatsStrip stats={stats.data} firing={alerts.answer && countFiring(alerts.answer)} />
      {answer && isEmpty && <FirstEvent counters={answer} />}
      {!answer && !failure && <p class="quiet">Loading the counters…</p>}
      {answer && !isEmpty && (
        <>
          {panels.map((panel, i) => (
            <PanelOrNone
              key={`${i} ${panel.counter}`}
              {...{ panel, stats: stats.data, last: view.last }}
              definition={answer.find(({ name }) => name === panel.counter) ?? null}
              onChange={(fields) => setPanels(panels.with(i, { ...panel, ...fields }))}
              onRemove={() => setPanels(panels.toSpliced(i, 1))}
            />
          ))}
          <CounterPicker
            counters={answer.filter(({ name }) => !panels.some(({ counter }) => counter === name))}
            onAdd={(name) => setPanels([...panels, initialPanel(name)])}
          />
        </>
      )}
      {answer && <AlertsSection counters={answer} loaded={alerts} />}
    </main>
  );
}

async function loadCounters(signal: AbortSignal): Promise<readonly CounterDefinition[]> {
  return (await request<{ counters: CounterDefinition[] }>("/v1/counters", { signal })).counters;
}

interface PanelOrNoneProps {
  readonly panel: PanelState;
  readonly definition: CounterDefinition | null;
  readonly stats: Stats | null;
  readonly last: string;
  readonly onChange: (fields: Partial<PanelState>) => void;
  readonly onRemove: () => void;
}

function PanelOrNone({ definition, stats, ...rest }: PanelOrNoneProps) {
  const { counter } = rest.panel;
  if (definition) {
    const lag = stats?.counters.find((other) => other.counter === counter) ?? null;
    return <Panel {...{ definition, lag }} {...rest} />;
  }
  return (
    <article class="panel">
      <p class="fault">There is no counter “{counter}” here.</p>
      <button type="button" onClick={rest.onRemove}>
        Remove it from the page
      </button>
    </article>
  );
}
