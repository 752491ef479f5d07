import { useEffect } from "preact/hooks";
import { type Loaded, useFeed, useLoaded, usePage } from "../hooks.ts";
import { type Alert, alertsApi } from "./api.ts";

const EVERY_MS = 5_000;

/** All alerts with their state; an answer of `null`: not known yet, or this service has none. */
export function useAlerts(): Loaded<readonly Alert[] | null> {
  const { paused } = usePage();
  const loaded = useLoaded("alerts", alertsApi.list, paused ? null : EVERY_MS);
  // A transition is news at once; values and silences wait for the next look.
  const { data: transitions } = useFeed({ feed: "alerts" });
  useEffect(loaded.again, [transitions]);
  return loaded;
}

export const countFiring = (alerts: readonly Alert[]): number =>
  alerts.filter(({ state }) => state === "firing").length;
