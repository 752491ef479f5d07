import { useState } from "preact/hooks";
import type { CounterDefinition } from "../api.ts";
import type { Loaded } from "../hooks.ts";
import type { Alert } from "./api.ts";
import { AlertForm } from "./form.tsx";
import { AlertRow } from "./row.tsx";
import { countFiring } from "./use-alerts.ts";

const ORDER = { firing: 0, pending: 1, stale: 2, inactive: 3 } as const;

export interface AlertsSectionProps {
  readonly counters: readonly CounterDefinition[];
  readonly loaded: Loaded<readonly Alert[] | null>;
}

/** Rules with their state; what fires comes first. */
export function AlertsSection({ counters, loaded: { answer: alerts, failure, again } }: AlertsSectionProps) {
  const [edited, setEdited] = useState<Alert | "new" | null>(null);
  const [secret, setSecret] = useState<string | null>(null);
  if (!alerts && !failure) return null;
  const close = (saved?: Alert) => {
    setEdited(null);
    if (saved) setSecret(saved.webhook?.secret ?? null);
    again();
  };
  const sorted = (alerts ?? []).toSorted((a, b) => ORDER[a.state] - ORDER[b.state] || a.name.localeCompare(b.name));
  return (
    <section class="panel alerts" aria-labelledby="alerts-title">
      <header class="panel-head">
        <h2 id="alerts-title">Alerts</h2>
        <p class="quiet" role="status">
          {describe(sorted)}
        </p>
        <div class="controls">
          <button type="button" onClick={() => setEdited("new")}>
            New alert
          </button>
        </div>
      </header>
      {failure && <p class="fault">Cannot load the alerts: {failure.message}. Trying again.</p>}
      {secret && (
        <p class="secret" role="status">
          The secret that signs its messages, shown this once: <code>{secret}</code>{" "}
          <button type="button" onClick={() => setSecret(null)}>
            Noted
          </button>
        </p>
      )}
      {edited && (
        <AlertForm
          key={edited === "new" ? "new" : edited.id}
          alert={edited === "new" ? null : edited}
          {...{ counters }}
          onDone={close}
        />
      )}
      <ul class="alert-list">
        {sorted.map((alert) => (
          <AlertRow key={alert.id} {...{ alert }} onEdit={() => setEdited(alert)} onChanged={again} />
        ))}
      </ul>
    </section>
  );
}

function describe(alerts: readonly Alert[]): string {
  if (alerts.length === 0) return "none yet";
  const firing = countFiring(alerts);
  return firing > 0 ? `${firing} of ${alerts.length} firing` : `${alerts.length}, none firing`;
}
