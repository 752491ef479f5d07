import { formatAge } from "./format.ts";
import { useConnection, usePage, useTick } from "./hooks.ts";

const NAMES = { connecting: "Connecting", open: "Live", reconnecting: "Reconnecting", closed: "Refused" } as const;
/** Numbers of this age, ms, are as new as they can be. */
const FRESH_MS = 2_500;

/** Whether the numbers are alive, and how old they are. Only a change of state is read aloud, never the seconds. */
export function Connection() {
  const { live, paused } = usePage();
  const state = useConnection();
  useTick(1_000);
  const shown = paused && state === "open" ? "paused" : state;
  const age = live.lastDataAt === null ? null : Date.now() - live.lastDataAt;
  const isStale = shown !== "open" || (age ?? 0) > FRESH_MS;
  return (
    <p class={`connection ${shown}`}>
      <span role="status">{shown === "paused" ? "Paused" : NAMES[shown]}</span>
      {age !== null && isStale && <span class="age">numbers are {formatAge(age)} old</span>}
    </p>
  );
}
