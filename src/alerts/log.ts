import { decodeTime } from "ulid";
import type { RedisClient } from "../redis/client.ts";
import { readLog } from "../redis/commands/alerts.ts";
import { type AlertEvent, EVENT_ID_PREFIX } from "./event.ts";
import { RuleBook } from "./store.ts";
import { AlertViews, type ShownAlert, type ViewsDependencies } from "./view.ts";

/** How far the clock of the process that made an event may have been from Redis's, which numbers the log, ms. */
const SKEW_MAX_MS = 5 * 60_000;
const SEARCHED_AT_ONCE = 500;

/** Transitions of all rules in the order in which they were made, and how all rules stand. */
export class AlertLog {
  readonly #client: RedisClient;
  readonly #book: RuleBook;
  readonly #views: AlertViews;

  constructor(deps: ViewsDependencies) {
    this.#client = deps.client;
    this.#book = new RuleBook(deps.client);
    this.#views = new AlertViews(deps);
  }

  /**
   * Transitions after a resume point, oldest first; `null` gives the newest ones.
   *
   * @param after a `last` of an earlier answer: `<ms>-<n>`, or the id of an event: `evt_<ULID>`. One that is older than
   *   what is kept begins with the oldest.
   * @returns `last`: where to go on from, also when nothing has come
   */
  async read(after: string | null, limit: number): Promise<{ events: AlertEvent[]; last: string }> {
    const from = after?.startsWith(EVENT_ID_PREFIX) ? await this.#entryBefore(after) : after;
    const entries = await readLog(this.#client, from, limit);
    const events = entries.map(({ event }) => JSON.parse(event) as AlertEvent);
    return { events, last: entries.at(-1)?.id ?? from ?? "0-0" };
  }

  /** The entry that holds an event, looked for from the time in its id on; where there is none, that time. */
  async #entryBefore(eventId: string): Promise<string> {
    const from = `${Math.max(0, decodeTime(eventId.slice(EVENT_ID_PREFIX.length)) - SKEW_MAX_MS)}-0`;
    for (let after = from; ; ) {
      const entries = await readLog(this.#client, after, SEARCHED_AT_ONCE);
      const found = entries.find(({ event }) => (JSON.parse(event) as AlertEvent).id === eventId);
      if (found) return found.id;
      if (entries.length < SEARCHED_AT_ONCE) return from;
      after = (entries.at(-1) as { id: string }).id;
    }
  }

  /** All rules with their states. */
  async list(): Promise<ShownAlert[]> {
    return this.#views.show([...(await this.#book.read()).values()]);
  }
}
