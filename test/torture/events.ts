import { encodeTime } from "ulid";
import { type Random, zipf } from "../../load/random.ts";

/** A valid event as the ledger remembers it. */
export interface SentEvent {
  readonly id: string;
  readonly type: string;
  /** Event time, epoch ms. */
  readonly time: number;
  readonly subject: string;
  readonly visitor: string;
  readonly country: string;
  /** Millionths; `null` where the event has no amount. */
  readonly micro: number | null;
  /** As it is sent. */
  readonly json: string;
}

const KEYS = 1_000;
const VISITORS = 5_000;
const COUNTRIES = ["DE", "FR", "JP", "BR", ""];
const CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/** Makes events with recent event times, the same ones for the same seed but for their times. */
export class EventSource {
  readonly #random: Random;
  readonly #rank = zipf(KEYS, 1.05);
  readonly #lates: boolean;
  #made = 0;

  constructor(random: Random, lates: boolean) {
    this.#random = random;
    this.#lates = lates;
  }

  next(): SentEvent {
    const random = this.#random;
    const draw = random.unit();
    const type = draw < 0.7 ? "page.view" : draw < 0.88 ? "purchase" : draw < 0.95 ? "refund" : "signup";
    const time = Date.now() - this.#age();
    const isUlid = random.below(2) === 0;
    const id = isUlid ? this.#ulid(time) : `e-${this.#made}-${random.bits().toString(36)}`;
    this.#made++;
    const subject = `/page/${this.#rank(random)}`;
    const visitor = `v${random.below(VISITORS)}`;
    const country = COUNTRIES[random.below(COUNTRIES.length)] as string;
    const micro = type === "signup" ? null : (random.below(2_000_001) - 1_000_000) * (random.below(2) ? 10_000 : 1);
    // The time of a ULID need not be said again.
    const said = isUlid && random.below(2) === 0 ? {} : { time: random.below(2) ? time : new Date(time).toISOString() };
    const data = { visitor, country, ...(micro !== null && { amount: micro / 1_000_000 }) };
    const json = JSON.stringify({ id, type, ...said, subject, data });
    return { id, type, time, subject, visitor, country, micro, json };
  }

  /** ms before now: mostly a moment, sometimes a little ahead, sometimes beyond every lateness. */
  #age(): number {
    const random = this.#random;
    const draw = random.unit();
    if (draw < 0.8) return random.below(3_000);
    if (draw < 0.95) return random.below(15_000);
    if (draw < 0.97) return -random.below(20_000);
    return this.#lates ? 20_000 + random.below(70_000) : random.below(15_000);
  }

  #ulid(time: number): string {
    let id = encodeTime(time, 10);
    for (let i = 0; i < 16; i++) id += CROCKFORD[this.#random.below(32)];
    return id;
  }
}

/** Something that must be rejected, and with which code. */
export interface BadEvent {
  readonly json: string;
  readonly code: string;
}

const HOUR_MS = 3_600_000;
const good = { id: "bad", type: "page.view", subject: "/bad" };

/** Every way of being wrong, as JSON. The last one is no JSON and can only be a line of NDJSON. */
const BAD: readonly (() => BadEvent)[] = [
  () => ({ json: JSON.stringify({ ...good, time: Date.now() + HOUR_MS }), code: "time_in_future" }),
  () => ({
    json: JSON.stringify({ ...good, time: new Date(Date.now() + HOUR_MS).toISOString() }),
    code: "time_in_future",
  }),
  () => ({ json: "42", code: "invalid_event" }),
  () => ({ json: JSON.stringify({ ...good, id: "" }), code: "invalid_id" }),
  () => ({ json: JSON.stringify({ ...good, id: 7 }), code: "invalid_id" }),
  () => ({ json: JSON.stringify({ ...good, id: "x".repeat(129) }), code: "invalid_id" }),
  () => ({ json: JSON.stringify({ ...good, source: {} }), code: "invalid_source" }),
  () => ({ json: JSON.stringify({ id: "bad", subject: "/bad" }), code: "invalid_type" }),
  () => ({ json: JSON.stringify({ ...good, time: "yesterday" }), code: "invalid_time" }),
  () => ({ json: JSON.stringify({ ...good, subject: 1 }), code: "invalid_subject" }),
  () => ({ json: JSON.stringify({ ...good, data: "text" }), code: "invalid_data" }),
  () => ({ json: JSON.stringify({ ...good, data: { amount: 9e9 + 1 } }), code: "invalid_data" }),
  () => ({ json: JSON.stringify({ ...good, data: { filler: "x".repeat(70_000) } }), code: "too_large" }),
  () => ({ json: '{"id":"bad","type":', code: "invalid_event" }),
];

export function makeBad(random: Random, isNdjson: boolean): BadEvent {
  return (BAD[random.below(BAD.length - (isNdjson ? 0 : 1))] as () => BadEvent)();
}
