/** The client, published as `tallymark/client`. Runs in Node from 20 on and in browsers, and imports nothing else. */
export { type ProblemDocument, TallymarkError } from "./errors.ts";
export type { QueryResults } from "./lookups.ts";
export type { Drop } from "./sender.ts";
export type { LiveHandlers, LiveState, Subscription } from "./subscription.ts";
export { type ClientStats, type SendOptions, Tallymark, type TallymarkOptions } from "./tallymark.ts";
export type * from "./types.ts";
