import { type Plan, shortPlan } from "./plan.ts";
import type { Mutation } from "./product.ts";

/** A run that must end with differences, since a mechanism of the product was taken out. */
export interface Mutant {
  readonly name: string;
  readonly removes: string;
  readonly plan: Plan;
}

/** Nothing that the ledger sends is there twice, so that dedupe has nothing to hide. */
const SINGLE = { duplicates: 0, resends: 0, bad: 0, waiting: 0, lates: false };

function directed(plan: Partial<Plan>): Plan {
  return {
    ...shortPlan(1, 5_000),
    rate: 400,
    traffic: SINGLE,
    sideTraffic: false,
    gapMs: [1_000, 2_000],
    faults: 3,
    timeoutMs: 60_000,
    stallMs: 10_000,
    oneIsEnough: true,
    ...plan,
  };
}

/** Ids are forgotten after seconds, so that dedupe does not stand in for the fence. */
const FORGETFUL: Mutation = {
  file: "dist/stream/owner.js",
  from: "const DROP_MARGIN_MS = 60_000;",
  to: "const DROP_MARGIN_MS = 0;",
};

const FENCE_PLAN: Partial<Plan> = {
  env: { TALLYMARK_DEDUPE_HORIZON: "1s" },
  kinds: ["script delivered late"],
  // Long enough for ids to come and be forgotten while a script is on its way.
  events: 7_000,
};

/** The settings of the fence's mutant with the fence in place: without it, the mutant would prove nothing. */
export const CONTROL: Plan = directed({ ...FENCE_PLAN, mutations: [FORGETFUL] });

export const MUTANTS: readonly Mutant[] = [
  {
    name: "fence",
    removes: "the fence: that what is counted is pending, and that nothing was applied since the ids were looked up",
    plan: directed({
      ...FENCE_PLAN,
      mutations: [
        FORGETFUL,
        {
          file: "lua/apply.lua",
          from: "elseif isKept or not isPending(entry.id) then",
          to: "elseif isKept then",
        },
        {
          file: "lua/apply.lua",
          from: "if not rebuild and (state[3] or '0') ~= batch.applied then return { 'moved' } end",
          to: "",
        },
      ],
    }),
  },
  {
    name: "resend",
    removes: "that a write is never sent twice (the Redis client's own default)",
    plan: directed({
      kinds: ["reply to a write lost"],
      mutations: [
        {
          file: "dist/redis/client.js",
          from: "maxRetriesPerRequest: 0,\n    enableOfflineQueue: false,",
          to: "maxRetriesPerRequest: 20,\n    enableOfflineQueue: true,",
        },
      ],
    }),
  },
  {
    name: "maxlen",
    removes: "that nothing accepted is trimmed",
    plan: directed({
      kinds: ["worker killed"],
      mutations: [
        {
          file: "dist/ingest/producer.js",
          from: 'xadd(partition.stream, "*", ...fields)',
          to: 'xadd(partition.stream, "MAXLEN", 3, "*", ...fields)',
        },
      ],
    }),
  },
  {
    name: "group",
    removes: "that the group starts at the beginning of the stream",
    plan: directed({
      kinds: ["worker killed"],
      faults: 1,
      mutations: [{ file: "dist/stream/entries.js", from: 'GROUP, "0", "MKSTREAM"', to: 'GROUP, "$", "MKSTREAM"' }],
    }),
  },
];
