import { formatAmount, formatKey, formatMoment } from "../format.ts";
import { useLoaded } from "../hooks.ts";
import { alertsApi } from "./api.ts";

const EVERY_MS = 5_000;

/** Each transition of an alert, newest first as the service lists them. */
export function AlertHistory({ id }: { readonly id: string }) {
  const { answer: events, failure } = useLoaded(`history ${id}`, (signal) => alertsApi.events(id, signal), EVERY_MS);
  if (failure) return <p class="fault">{failure.message}</p>;
  if (!events) return <p class="quiet">Loading…</p>;
  if (events.length === 0) return <p class="quiet">It has never fired.</p>;
  return (
    <ol class="history">
      {events.map(({ id: eventId, type, time, key, value, delivery }) => (
        <li key={eventId}>
          <time dateTime={time}>{formatMoment(time)}</time> {type}
          {key && <> · {formatKey(key)}</>}
          {value !== null && <> · {formatAmount(value)}</>}
          {delivery.outcome !== "none" && <> · message {delivery.outcome}</>}
        </li>
      ))}
    </ol>
  );
}
