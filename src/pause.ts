import { setTimeout as delay } from "node:timers/promises";

/** Waits so long, ms, or until `signal` says to stop: whoever asked then looks at the signal. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal }).catch(() => undefined);
}
