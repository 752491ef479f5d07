import { setTimeout as delay } from "node:timers/promises";

const LOOK_MS = 100;

/** Looks until a condition holds; `false` when it did not within the time. A look that fails says no. */
export async function until(condition: () => Promise<boolean>, timeoutMs: number): Promise<boolean> {
  const giveUpAt = performance.now() + timeoutMs;
  for (;;) {
    if (await condition().catch(() => false)) return true;
    if (performance.now() > giveUpAt) return false;
    await delay(LOOK_MS);
  }
}
