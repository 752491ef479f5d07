import { setTimeout as delay } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { type Clock, parseClock } from "../../src/redis/commands/apply.ts";
import { acknowledgeArchived, holdArchive, joinArchive, leaveArchive } from "../../src/redis/commands/lake.ts";
import { tick } from "../../src/redis/commands/lease.ts";
import { ARCHIVE_GROUP, GROUP } from "../../src/redis/keys.ts";
import type { ScriptName } from "../../src/redis/scripts.ts";
import { timeAt } from "../../src/redis/time.ts";
import { readAlong, readNew, readPending } from "../../src/stream/entries.ts";
import { countAll } from "../hazards/support.ts";
import { changing, Harness, makeEvent } from "../support/harness.ts";
import { startTestRedis, type TestRedis } from "../support/redis.ts";

/** Both orders of two acknowledgements, and what may come between them; without each mechanism something goes wrong. */

let redis: TestRedis;
beforeAll(async () => {
  redis = await startTestRedis();
});
afterAll(() => redis.stop());

const open: Harness[] = [];
afterEach(() => {
  for (const harness of open.splice(0)) harness.close();
});

type Mutation = readonly [script: ScriptName, from: string, to: string];

async function openStage(mutation?: Mutation): Promise<Stage> {
  const harness = await Harness.create(redis, {
    counters: [{ name: "all", event: "*", by: [], windows: ["1h"], lateness: "4000d" }],
    horizonMs: 1_000,
    mutate: changing(mutation && { script: mutation[0], from: mutation[1], to: mutation[2] }),
  });
  open.push(harness);
  return new Stage(harness);
}

/** One partition with a worker and an archiver, driven by hand. */
class Stage {
  readonly harness: Harness;
  sent = 0;
  #owners = 0;

  constructor(harness: Harness) {
    this.harness = harness;
  }

  get keys() {
    return this.harness.partitions[0]!;
  }

  join() {
    return joinArchive(this.harness.client, this.harness.scripts, this.keys);
  }

  leave() {
    return leaveArchive(this.harness.client, this.harness.scripts, this.keys);
  }

  async send(entries: number): Promise<void> {
    for (let i = 0; i < entries; i++) await this.harness.send([makeEvent({ id: `e${this.sent++}`, time: 1_000_000 })]);
  }

  /** A new owner applies all there is; ids from before are forgotten, so that the fence alone stands. */
  async count(): Promise<void> {
    const owner = await this.harness.own(this.keys, `owner ${this.#owners++}`);
    const { client } = this.harness;
    const families = await client.keys("tm:{0}:d:*");
    if (families.length > 0) await client.del(families);
    for (const read of [() => readPending(client, this.keys, 1_000), () => readNew(client, this.keys, 1_000, 1)]) {
      for (let entries = await read(); entries.length > 0; entries = await read()) await owner.apply(entries);
    }
  }

  async readForArchive(): Promise<string[]> {
    const { client } = this.harness;
    const pending = await readAlong(client, this.keys, ARCHIVE_GROUP, "0", 1_000);
    const fresh = await readAlong(client, this.keys, ARCHIVE_GROUP, ">", 1_000);
    return [...pending, ...fresh].map(({ id }) => id);
  }

  async acknowledge(ids: readonly string[], token = "archiver"): Promise<string> {
    const { client, scripts } = this.harness;
    await holdArchive(client, scripts, this.keys, "archiver", 10_000);
    return acknowledgeArchived(client, scripts, this.keys, token, ids);
  }

  /** Entries on the stream, kept, ahead. */
  async stands(): Promise<number[]> {
    const { client } = this.harness;
    return Promise.all([client.xlen(this.keys.stream), client.scard(this.keys.kept), client.scard(this.keys.ahead)]);
  }

  counted(): Promise<number> {
    return countAll(this.harness);
  }

  /** Sends one entry; when it arrived, by Redis's clock, in ms. */
  async sendOne(event: Parameters<typeof makeEvent>[0]): Promise<number> {
    await this.harness.send([makeEvent(event)]);
    const [newest] = await this.harness.client.xrevrange(this.keys.stream, "+", "-", "COUNT", 1);
    return Number.parseInt(newest![0], 10);
  }

  async clock(): Promise<Clock> {
    const [text] = Object.values(await this.harness.client.hgetall(this.keys.clocks));
    return parseClock(text!);
  }

  /** Returns when Redis's clock is so far past `time`, ms, that the counter's clock, which lags behind it, is past it too. */
  async untilPast(time: number): Promise<void> {
    const { clock, advanced } = await this.clock();
    while ((await timeAt(this.harness.client, this.keys.stream)) <= time + (advanced - clock) + 1) await delay(1);
  }

  async tick() {
    const { client, scripts, registry } = this.harness;
    const token = (await client.get(this.keys.lease)) as string;
    const counters = registry.current.counters.map(({ generation, latenessMs }) => ({
      generation: String(generation),
      lateness: latenessMs,
      floor: null,
      seed: null,
    }));
    return tick(client, scripts, this.keys, token, counters);
  }
}

/** Each history says what went wrong, in words; nothing must. */
const HISTORIES: Record<string, (stage: Stage) => Promise<unknown>> = {
  "counted first, then archived": async (stage) => {
    await stage.join();
    await stage.send(3);
    await stage.count();
    const before = await stage.stands();
    await stage.acknowledge(await stage.readForArchive());
    return [before, await stage.stands(), await stage.counted()];
  },
  "archived first, then counted": async (stage) => {
    await stage.join();
    await stage.send(3);
    await stage.acknowledge(await stage.readForArchive());
    const before = await stage.stands();
    await stage.count();
    return [before, await stage.stands(), await stage.counted()];
  },
  "the workers' group is made anew while entries are kept": async (stage) => {
    await stage.join();
    await stage.send(3);
    await stage.count();
    await stage.harness.client.xgroup("DESTROY", stage.keys.stream, GROUP);
    await stage.count();
    const ids = await stage.readForArchive();
    await stage.acknowledge(ids);
    return [ids.length, await stage.stands(), await stage.counted()];
  },
  "archiving is ended while entries are kept, and the workers' group made anew": async (stage) => {
    await stage.join();
    await stage.send(3);
    await stage.count();
    await stage.send(1);
    await stage.leave();
    const after = await stage.stands();
    await stage.harness.client.xgroup("DESTROY", stage.keys.stream, GROUP);
    await stage.count();
    return [after, await stage.stands(), await stage.counted()];
  },
  "archiving begins with entries queued": async (stage) => {
    await stage.send(2);
    await stage.join();
    await stage.count();
    const ids = await stage.readForArchive();
    await stage.acknowledge(ids);
    return [ids.length, await stage.stands()];
  },
  "an archiver that has lost its partition acknowledges": async (stage) => {
    await stage.join();
    await stage.send(2);
    await stage.count();
    const ids = await stage.readForArchive();
    return [await stage.acknowledge(ids, "another"), await stage.stands()];
  },
  "an acknowledgement comes twice": async (stage) => {
    await stage.join();
    await stage.send(2);
    const ids = await stage.readForArchive();
    await stage.acknowledge(ids);
    await stage.count();
    await stage.acknowledge(ids);
    return [await stage.stands(), await stage.counted()];
  },
  "a live clock goes on to what waits, past what is kept": async (stage) => {
    await stage.join();
    const time = Date.now();
    const first = await stage.sendOne({ id: "a", time });
    await stage.count();
    // Waits longer than the clock lags behind wall time, so that it shows which of the two entries it was held by.
    await stage.untilPast(first);
    const second = await stage.sendOne({ id: "b", time });
    await stage.untilPast(second);
    await stage.tick();
    const { clock: held } = await stage.clock();
    await stage.count();
    await stage.untilPast(second);
    await stage.tick();
    return [held > first, held <= second, (await stage.clock()).clock > second];
  },
  "what is kept does not wait": async (stage) => {
    await stage.join();
    await stage.send(2);
    await stage.count();
    return stage.tick();
  },
};

const OUTCOMES: Record<keyof typeof HISTORIES, unknown> = {
  "counted first, then archived": [[3, 3, 0], [0, 0, 0], 3],
  "archived first, then counted": [[3, 0, 3], [0, 0, 0], 3],
  "the workers' group is made anew while entries are kept": [3, [0, 0, 0], 3],
  "archiving is ended while entries are kept, and the workers' group made anew": [[1, 0, 0], [0, 0, 0], 4],
  "archiving begins with entries queued": [2, [0, 0, 0]],
  "an archiver that has lost its partition acknowledges": ["lost", [2, 2, 0]],
  "an acknowledgement comes twice": [[0, 0, 0], 2],
  "a live clock goes on to what waits, past what is kept": [true, true, true],
  "what is kept does not wait": { kind: "ok", waiting: 0, missing: 0 },
};

test.each(Object.keys(HISTORIES))("%s", async (name) => {
  expect(await HISTORIES[name]!(await openStage())).toEqual(OUTCOMES[name]);
});

const MUTANTS: { without: string; mutation: Mutation; history: string }[] = [
  {
    without: "keeping what is counted",
    mutation: ["apply", "if archiving then\n  local archived", "if false then\n  local archived"],
    history: "counted first, then archived",
  },
  {
    without: "deleting what is counted last",
    mutation: ["apply", "call('SREM', AHEAD, id) == 1 and archived or waiting", "waiting"],
    history: "archived first, then counted",
  },
  {
    without: "asking whether an entry is kept before it counts",
    mutation: ["apply", "call('SISMEMBER', KEPT, entry.id) == 1", "false"],
    history: "the workers' group is made anew while entries are kept",
  },
  {
    without: "deleting what was kept when archiving ends",
    mutation: ["lake-leave", "if #kept > 0 then redis.call('XDEL', STREAM, unpack(kept)) end", ""],
    history: "archiving is ended while entries are kept, and the workers' group made anew",
  },
  {
    without: "making the group at 0",
    mutation: ["lake-join", "group, '0', 'MKSTREAM'", "group, '$', 'MKSTREAM'"],
    history: "archiving begins with entries queued",
  },
  {
    without: "the archive's lease",
    mutation: ["lake-ack", "if redis.call('GET', LEASE) ~= token then return 'lost' end", ""],
    history: "an archiver that has lost its partition acknowledges",
  },
  {
    without: "the archive's fence",
    mutation: ["lake-ack", "redis.call('XACK', STREAM, group, id) == 1", "redis.call('XACK', STREAM, group, id) >= 0"],
    history: "an acknowledgement comes twice",
  },
  {
    without: "telling the workers' backlog from the archive's",
    mutation: ["tick", "waiting = waiting - kept", ""],
    history: "what is kept does not wait",
  },
  {
    without: "looking for the oldest entry that waits",
    mutation: ["tick", "if kept > 0 then", "if false then"],
    history: "a live clock goes on to what waits, past what is kept",
  },
  {
    without: "holding live clocks by what waits",
    mutation: ["tick", "upTo = math.min(upTo", "upTo = math.max(upTo"],
    history: "a live clock goes on to what waits, past what is kept",
  },
];

test.each(MUTANTS)("it goes wrong without $without", async ({ mutation, history }) => {
  expect(await HISTORIES[history]!(await openStage(mutation))).not.toEqual(OUTCOMES[history]);
});

test("many kept entries are deleted in slices when archiving ends", async () => {
  const stage = await openStage();
  await stage.join();
  await stage.send(2_500);
  await stage.count();
  expect(await stage.stands()).toEqual([2_500, 2_500, 0]);
  await stage.leave();
  expect(await stage.stands()).toEqual([0, 0, 0]);
  await stage.send(1);
  await stage.count();
  expect([await stage.stands(), await stage.counted()]).toEqual([[0, 0, 0], 2_501]);
});
