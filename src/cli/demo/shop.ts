import type { TallymarkEvent } from "../../client/index.ts";
import type { CounterInput } from "../../core/counter.ts";
import { Random } from "./random.ts";

/** What the demo counts. Narrow windows and little lateness, so that something is to be seen soon. */
export const SHOP_COUNTERS: readonly CounterInput[] = [
  { name: "views", event: "page.view", by: ["subject"], unique: "data.visitor" },
  { name: "carts", event: "cart.add", by: ["subject"], unique: "data.visitor" },
  { name: "sales", event: "purchase", by: ["subject"], sum: "data.amount", unique: "data.visitor" },
  { name: "countries", event: "page.view", by: ["data.country"], unique: "data.visitor" },
  { name: "visitors", event: "*", by: [], unique: "data.visitor" },
].map((counter) => ({ ...counter, windows: ["10s", "1m", "1h", "1d"], lateness: "5m" }));

/** Events are made second by second. */
export const SLOT_MS = 1_000;

export interface ShopSlot {
  /** In the order in which they are sent, each but a late one with a time within the slot. */
  readonly events: readonly TallymarkEvent[];
  /** Some of them, sent again after all others: nothing may change. */
  readonly copies: readonly TallymarkEvent[];
}

const PRODUCTS = [
  "red-bicycle",
  "blue-teapot",
  "garden-chair",
  "wool-scarf",
  "desk-lamp",
  "hiking-boots",
  "espresso-cup",
  "rain-jacket",
  "chess-set",
  "paper-kite",
  "oak-table",
  "silver-spoon",
  "green-backpack",
  "wall-clock",
  "linen-shirt",
  "toy-train",
  "cast-iron-pan",
  "notebook",
  "sunglasses",
  "fern",
  "record-player",
  "sleeping-bag",
  "tea-towel",
  "globe",
] as const;
const COUNTRIES = ["DE", "FR", "US", "GB", "IT", "ES", "NL", "PL", "JP", "BR", "SE", "CA"] as const;

const VISITORS = 4_000;
/** Views a second without waves and bursts. */
const VIEWS_PER_SECOND = 60;
const WAVE_S = 600;
/** In every other period or so, something becomes the talk of the town for a while. */
const PERIOD_S = 120;
const BURST_S = 20;
const CART_SHARE = 0.12;
const PURCHASE_SHARE = 0.05;
const COPY_SHARE = 0.03;
/** Of views: they were made while a phone was out of reach. */
const LATE_SHARE = 0.004;
const LATE_S = { least: 20 * 60, most: 30 * 60 } as const;

/** What happens in one second of the shop: the same for the same seed, whenever it is asked for. */
export function shopSlot(seed: number, slot: number): ShopSlot {
  const random = new Random(seed, slot);
  const burst = burstAt(seed, slot);
  const wave = 1 + 0.4 * Math.sin((2 * Math.PI * slot) / WAVE_S);
  const views = Math.round(VIEWS_PER_SECOND * wave * (burst === null ? 1 : 2) * (0.7 + 0.6 * random.next()));
  const weights = PRODUCTS.map((_, product) => popularity(product, slot) * (product === burst ? 30 : 1));
  const events: TallymarkEvent[] = [];
  for (let i = 0; i < views; i++) {
    const product = random.weighted(weights);
    const visitor = Math.floor(random.next() ** 2 * VISITORS);
    const time = slot * SLOT_MS + Math.floor((i * SLOT_MS) / views);
    const add = (type: string, at: number, more: object = {}) => {
      const data = { visitor: `v${visitor}`, country: countryOf(visitor), ...more };
      events.push({
        id: `shop-${seed}-${slot}-${events.length}`,
        type,
        time: at,
        subject: `/${PRODUCTS[product]}`,
        data,
      });
    };
    const isLate = random.next() < LATE_SHARE;
    const lateBy = Math.round(LATE_S.least + random.next() * (LATE_S.most - LATE_S.least)) * 1_000;
    add("page.view", isLate ? time - lateBy : time);
    if (isLate) continue;
    if (random.next() < CART_SHARE) add("cart.add", time);
    if (random.next() < PURCHASE_SHARE)
      add("purchase", time, { amount: priceOf(product) * (1 + Math.floor(random.next() * 3)) });
  }
  return { events, copies: events.filter(() => random.next() < COPY_SHARE) };
}

/** The product that everybody wants just now. */
function burstAt(seed: number, slot: number): number | null {
  const random = new Random(seed, Math.floor(slot / PERIOD_S), "burst");
  const begins = Math.floor(random.next() * (PERIOD_S - BURST_S));
  const product = Math.floor(random.next() * PRODUCTS.length);
  const since = (slot % PERIOD_S) - begins;
  return random.next() < 0.5 && since >= 0 && since < BURST_S ? product : null;
}

/** Some sell better than others, and each rises and falls at its own pace, in 3 to 12 minutes. */
function popularity(product: number, slot: number): number {
  const periodS = 180 + ((product * 97) % 540);
  return Math.exp(1.2 * Math.sin((2 * Math.PI * slot) / periodS + product)) / (1 + (product % 8));
}

/** Cents matter: sums are exact to the millionth. */
function priceOf(product: number): number {
  return 5 + ((product * 1_337) % 9_500) / 100;
}

function countryOf(visitor: number): string {
  return COUNTRIES[Math.floor(((visitor % 97) / 97) ** 2 * COUNTRIES.length)] as string;
}
