import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { call } from "../support/app.ts";
import { readCompose, readProjectFile, tallymarkServices } from "../support/compose.ts";
import { readMetric } from "../support/metrics.ts";
import { freePort } from "../support/ports.ts";
import { findPostgres, startTestPostgres, type TestPostgres } from "../support/postgres.ts";
import { end, spawnRedis } from "../support/redis-process.ts";
import { removeTemporaryDirectories, type Service, startService } from "../support/service.ts";

/** The processes of docker-compose.yml, as local ones on a real Redis and a real Postgres. */

const bin = await findPostgres();
const PROMETHEUS = "/usr/bin/prometheus";
const EVENTS = 12_000;
const BATCH = 100;
const KEYS = 40;
/** Of two hours ago, so that minutes are closed and exported while events come. */
const BASE = Date.now() - 2 * 3_600_000;
const COUNTER = {
  event: "sale",
  by: ["subject"],
  sum: "data.amount",
  windows: ["1m", "1h"],
  lateness: "2m",
  keep: { "1m": "65m", "1h": "1d" },
};

const keyOf = (i: number) => `/k${(i * i) % KEYS}`;
const eventOf = (i: number) => ({
  id: `sale-${i}`,
  type: "sale",
  subject: keyOf(i),
  // All of them take two hours of event time.
  time: new Date(BASE + i * 600).toISOString(),
  data: { amount: (i % 7) + 0.25 },
});

describe.skipIf(bin === null)(
  bin === null ? "no Postgres server is installed" : "the processes of the compose file",
  () => {
    let directory: string;
    let redis: ChildProcess;
    let postgres: TestPostgres;
    let environment: Record<string, string>;
    const fleet = new Map<string, Service>();
    const declared = tallymarkServices(readCompose());

    const start = async (name: string) => {
      const { args, env } = declared.find((service) => service.name === name) as (typeof declared)[number];
      const [, ...rest] = args;
      fleet.set(name, await startService({ args: rest, env: { ...env, ...environment } }));
    };
    const url = (name: string) => (fleet.get(name) as Service).url;
    const value = async (query: string) => (await call(url("api-1"), "GET", `/v1/counters/sales/value?${query}`)).body;

    beforeAll(async () => {
      directory = await mkdtemp(join(tmpdir(), "tallymark-topology-"));
      const port = await freePort();
      redis = await spawnRedis([], { port, dir: directory });
      postgres = await startTestPostgres(bin as string);
      environment = { REDIS_URL: `redis://127.0.0.1:${port}`, DATABASE_URL: postgres.url };
      await Promise.all(declared.map(({ name }) => start(name)));
      expect(await call(url("api-2"), "PUT", "/v1/counters/sales", COUNTER)).toMatchObject({ status: 201 });
    }, 180_000);
    afterAll(async () => {
      await Promise.all([...fleet.values()].map((service) => service.stop()));
      if (redis) await end(redis);
      await postgres?.stop();
      await removeTemporaryDirectories();
      await rm(directory, { recursive: true, force: true });
    });

    /** Sends to one of the two, and with the same ids to the other while there is no answer. */
    async function send(first: number): Promise<void> {
      const events = Array.from({ length: BATCH }, (_, i) => eventOf(first + i));
      for (let attempt = 0; ; attempt++) {
        const target = (first / BATCH + attempt) % 2 === 0 ? "api-1" : "api-2";
        const answer = await call(url(target), "POST", "/v1/events", events).catch(() => null);
        if (answer?.status === 202) return;
        expect([undefined, 503]).toContain(answer?.status);
        expect(attempt).toBeLessThan(200);
        await delay(50);
      }
    }

    test("every process says that it lives, is ready, and how it does", async () => {
      expect([...fleet.keys()].toSorted()).toEqual(["api-1", "api-2", "jobs", "live", "worker-1", "worker-2"]);
      for (const name of fleet.keys()) {
        expect((await call(url(name), "GET", "/livez")).status, name).toBe(200);
        expect((await call(url(name), "GET", "/readyz")).body, name).toMatchObject({ status: "ok" });
        expect(await readMetric(url(name), "tallymark_partitions"), name).toBe(8);
      }
    });

    test("a viewer follows while workers and an api are killed in the middle of events, and every number is exact", {
      timeout: 300_000,
    }, async () => {
      const seen: number[] = [];
      const socket = new WebSocket(`${url("live").replace("http", "ws")}/v1/live`);
      socket.on("open", () => {
        const span = {
          from: new Date(BASE - 3_600_000).toISOString(),
          to: new Date(BASE + 4 * 3_600_000).toISOString(),
        };
        socket.send(JSON.stringify({ op: "subscribe", id: "a", feed: "value", counter: "sales", ...span }));
      });
      socket.on("message", (text) => {
        const { data } = JSON.parse(String(text));
        if (data?.count !== undefined) seen.push(data.count);
      });

      const victims = new Map([
        [30, "worker-1"],
        [60, "api-2"],
        [85, "worker-2"],
      ]);
      const revived: Promise<void>[] = [];
      for (let batch = 0; batch * BATCH < EVENTS; batch++) {
        const victim = victims.get(batch);
        if (victim) {
          await (fleet.get(victim) as Service).kill();
          revived.push(start(victim));
        }
        await send(batch * BATCH);
        // What was sent once is sent again, as a producer does that was killed before it wrote down the answer.
        if (batch % 10 === 0) await send(batch * BATCH);
      }
      await Promise.all(revived);

      const all = `from=${BASE - 3_600_000}&to=${BASE + 4 * 3_600_000}`;
      await expect.poll(async () => (await value(all)).count, { timeout: 60_000, interval: 250 }).toBe(EVENTS);
      const amounts = Array.from({ length: EVENTS }, (_, i) => eventOf(i));
      expect((await value(all)).sum).toBe(amounts.reduce((sum, { data }) => sum + data.amount, 0));
      for (let k = 0; k < KEYS; k++) {
        const own = amounts.filter(({ subject }) => subject === `/k${k}`);
        expect((await value(`${all}&key=${encodeURIComponent(`/k${k}`)}`)).count, `/k${k}`).toBe(own.length);
      }
      await expect.poll(() => seen.at(-1), { timeout: 10_000 }).toBe(EVENTS);
      expect(seen).toEqual(seen.toSorted((a, b) => a - b));
      socket.terminate();
    });

    test("partitions have owners, nothing is missing, and old buckets have gone to Postgres", {
      timeout: 120_000,
    }, async () => {
      const workers = ["worker-1", "worker-2"];
      const sum = async (metric: string) => {
        const values = await Promise.all(workers.map((name) => readMetric(url(name), metric)));
        return values.reduce((total, one) => total + (Number.isNaN(one) ? 0 : one), 0);
      };
      await expect.poll(() => sum("tallymark_partitions_owned"), { timeout: 30_000 }).toBe(8);
      for (let partition = 0; partition < 8; partition++) {
        // Told by its owner alone, whoever had it before; a new owner tells within a second.
        const told = async () => {
          const gauge = `tallymark_stream_entries_missing{partition="${partition}"}`;
          const values = await Promise.all(workers.map((name) => readMetric(url(name), gauge)));
          return values.filter((one) => !Number.isNaN(one));
        };
        await expect.poll(told, { message: `partition ${partition}` }).toEqual([0]);
      }
      const jobs = (name: string) => readMetric(url("jobs"), name);
      await expect.poll(() => jobs("tallymark_buckets_forgotten_total"), { timeout: 60_000 }).toBeGreaterThan(0);
      await expect.poll(() => jobs('tallymark_cold_bytes{table="cells"}'), { timeout: 60_000 }).toBeGreaterThan(0);
      expect(await jobs("tallymark_export_rows_differing_total")).toBe(0);
      expect(await jobs("tallymark_cold_unavailable")).toBe(0);
      const all = `from=${BASE - 3_600_000}&to=${BASE + 4 * 3_600_000}`;
      expect((await value(all)).count).toBe(EVENTS);
    });

    test.skipIf(!existsSync(PROMETHEUS))(
      "Prometheus reaches all of them, no rule fires, and the dashboard has its numbers",
      {
        timeout: 120_000,
      },
      async () => {
        const port = await freePort();
        const prometheus = await startPrometheus(port);
        const ask = async (path: string) => (await call(`http://127.0.0.1:${port}`, "GET", `/api/v1/${path}`)).body;
        try {
          const health = async () =>
            (await ask("targets").catch(() => null))?.data?.activeTargets.map(
              (target: { health: string }) => target.health,
            );
          await expect.poll(health, { timeout: 30_000 }).toEqual([...fleet.keys()].map(() => "up"));
          const rules = async () =>
            (await ask("rules")).data.groups[0].rules.map(({ health }: { health: string }) => health);
          await expect.poll(rules, { timeout: 30_000 }).toEqual(
            readProjectFile("ops/prometheus/rules.yml")
              .match(/- alert:/g)
              ?.map(() => "ok"),
          );
          const panels: { targets?: { expr: string }[] }[] = JSON.parse(
            readProjectFile("ops/grafana/dashboards/tallymark.json"),
          ).panels;
          const queries = panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));
          for (const expr of queries) {
            const query = encodeURIComponent(expr.replaceAll("$__rate_interval", "1m"));
            expect(await ask(`query?query=${query}`), expr).toMatchObject({ status: "success" });
          }
          const { data } = await ask(
            `query?query=${encodeURIComponent("max(tallymark_partitions) - sum(tallymark_partitions_owned)")}`,
          );
          expect(data.result.map(({ value }: { value: unknown[] }) => value[1])).toEqual(["0"]);
          const { alerts } = (await ask("alerts")).data;
          expect(alerts.filter(({ state }: { state: string }) => state === "firing")).toEqual([]);
        } finally {
          await end(prometheus);
        }
      },
    );

    /** With the project's own configuration, but for addresses and pauses. */
    async function startPrometheus(port: number): Promise<ChildProcess> {
      const dir = join(directory, "prometheus");
      await mkdir(dir);
      let config = readProjectFile("ops/prometheus/prometheus.yml").replaceAll("15s", "1s");
      for (const [name, service] of fleet) config = config.replace(`${name}:8080`, new URL(service.url).host);
      await writeFile(join(dir, "prometheus.yml"), config);
      for (const name of ["rules.yml", "metrics.key"]) {
        await writeFile(join(dir, name), readProjectFile(`ops/prometheus/${name}`));
      }
      const options = [`config.file=${dir}/prometheus.yml`, `storage.tsdb.path=${dir}/data`];
      const args = [...options, `web.listen-address=127.0.0.1:${port}`].map((option) => `--${option}`);
      return spawn(PROMETHEUS, args, { stdio: "ignore" });
    }

    test("every process stops when it is told to, with what it has taken", { timeout: 60_000 }, async () => {
      const codes = await Promise.all([...fleet.values()].map((service) => service.stop()));
      expect(codes).toEqual(codes.map(() => 0));
      for (const [name, service] of fleet) expect(service.stderr(), name).not.toMatch(/"level":(50|60)/);
    });
  },
);
