import { useState } from "preact/hooks";
import { formatAmount, formatKey, formatMoment } from "../format.ts";
import { RequestFailed } from "../rest.ts";
import { type Alert, alertsApi } from "./api.ts";
import { AlertHistory } from "./history.tsx";

/** Keys of one rule that are listed. */
const INSTANCES_MAX = 10;
const SILENCES = ["15m", "1h", "8h", "1d"];

export interface AlertRowProps {
  readonly alert: Alert;
  readonly onEdit: () => void;
  readonly onChanged: () => void;
}

export function AlertRow({ alert, onEdit, onChanged }: AlertRowProps) {
  const { id, name, state, since, value, silencedUntil, instances, overflow } = alert;
  const [fault, setFault] = useState<string | null>(null);
  const [isAsking, setAsking] = useState(false);
  const [isHistoryOpen, setHistoryOpen] = useState(false);
  const attempt = async (action: Promise<unknown>) => {
    try {
      await action;
      setFault(null);
      onChanged();
    } catch (error) {
      if (!(error instanceof RequestFailed)) throw error;
      setFault(error.message);
    }
  };
  return (
    <li class="alert">
      <span class={`tag ${state}`}>{state}</span>
      <div class="alert-text">
        <h3>{name}</h3>
        <p>{spellRule(alert)}</p>
        <p class="quiet">
          {value !== null && `now ${formatAmount(value)}${alert.compare === "previous" ? " %" : ""}`}
          {since && ` · since ${formatMoment(since)}`}
          {silencedUntil && ` · silent until ${formatMoment(silencedUntil)}`}
        </p>
        {instances && instances.length > 0 && (
          <ul class="instances" aria-label={`Keys of ${name} that are not inactive`}>
            {instances.slice(0, INSTANCES_MAX).map(({ key, state: its, value: now }) => (
              <li key={JSON.stringify(key)}>
                <span class={`tag ${its}`}>{its}</span> {formatKey(key ?? [])} {now !== null && formatAmount(now)}
              </li>
            ))}
            {instances.length > INSTANCES_MAX && <li>and {instances.length - INSTANCES_MAX} more</li>}
          </ul>
        )}
        {overflow && <p class="fault">There are more keys than a rule can watch.</p>}
        {fault && (
          <p class="fault" role="status">
            {fault}
          </p>
        )}
      </div>
      <div class="controls">
        <form
          onSubmit={(event) => {
            event.preventDefault();
            void attempt(alertsApi.silence(id, String(new FormData(event.currentTarget).get("for"))));
          }}
        >
          <select name="for" aria-label={`How long to silence ${name}`}>
            {SILENCES.map((duration) => (
              <option key={duration}>{duration}</option>
            ))}
          </select>
          <button type="submit" aria-label={`Silence ${name}`}>
            Silence
          </button>
        </form>
        {silencedUntil && (
          <button
            type="button"
            aria-label={`End the silence of ${name}`}
            onClick={() => attempt(alertsApi.unsilence(id))}
          >
            End silence
          </button>
        )}
        <button type="button" aria-label={`Edit ${name}`} onClick={onEdit}>
          Edit
        </button>
        {isAsking ? (
          <button
            type="button"
            class="danger"
            onClick={() => attempt(alertsApi.remove(id))}
            onBlur={() => setAsking(false)}
          >
            Really delete {name}?
          </button>
        ) : (
          <button type="button" aria-label={`Delete ${name}`} onClick={() => setAsking(true)}>
            Delete
          </button>
        )}
      </div>
      <details onToggle={({ currentTarget }) => setHistoryOpen(currentTarget.open)}>
        <summary>History of {name}</summary>
        {isHistoryOpen && <AlertHistory id={id} />}
      </details>
    </li>
  );
}

/** The rule as a sentence. */
function spellRule({ counter, key, measure, last, op, threshold, compare, for: during }: Alert): string {
  const whose = key === null ? "in total" : key === "*" ? "of any key" : `of ${formatKey(key)}`;
  const against = compare === "previous" ? " % against the span before" : "";
  const lasting = during ? `, for ${during}` : "";
  return `${measure} of ${counter} ${whose}, last ${last}, ${op} ${formatAmount(threshold)}${against}${lasting}`;
}
