import { startBare } from "./bare.ts";
import { withRedis } from "./baselines.ts";
import { cpuBetween, readCpuTime } from "./measure.ts";
import { exactRows, fixed, type Row, whole } from "./report.ts";
import { type RunOptions, runWorkload } from "./run.ts";
import { prepareSender } from "./sender.ts";
import { W1 } from "./workload.ts";

const REQUESTS_MAX = 100_000;
const CONNECTIONS = 64;

/** What requests of one event cost, by one way of serving them. */
interface Cost {
  readonly requestsPerSecond: number;
  readonly cpuMicrosPerRequest: { readonly server: number; readonly redis: number };
}

export interface W3Figures {
  readonly requests: number;
  readonly faults: readonly string[];
  readonly ours: Cost;
  /** Until all counts were visible, not only accepted. */
  readonly countedPerSecond: number;
  readonly bare: Cost;
  readonly ratioToBare: number;
  readonly othersCpuShare: number;
}

/** One event a request, between two runs of a bare server under the same load. */
export async function measureW3(options: RunOptions): Promise<W3Figures> {
  const requests = Math.min(options.events, REQUESTS_MAX);
  const settings = { ...options, events: requests, batch: 1, connections: CONNECTIONS };
  const before = await measureBare(settings);
  const run = await runWorkload({ ...settings, profileDir: null, archive: false }, W1);
  const after = await measureBare(settings);
  const bare = meanOf(before, after);
  const ours = costOf(requests, run.ingestSeconds, run.cpu.service.own, run.cpu.redis.own);
  return {
    requests,
    faults: run.faults,
    ours,
    countedPerSecond: requests / run.seconds,
    bare,
    ratioToBare: ours.requestsPerSecond / bare.requestsPerSecond,
    othersCpuShare: run.othersCpu / run.seconds,
  };
}

/** Its Redis keeps an append-only file, as ours does. */
function measureBare({ seed, events, batch, connections }: RunOptions): Promise<Cost> {
  return withRedis(async (redis) => {
    const bare = await startBare(redis.address);
    try {
      const workload = { seed, events, endsAt: Date.now() };
      const sender = await prepareSender({ workload, url: bare.url, batch, connections });
      try {
        const before = [readCpuTime(bare.pid), readCpuTime(redis.pid)] as const;
        const { startedAt, endedAt } = await sender.send();
        const server = cpuBetween(before[0], readCpuTime(bare.pid)).own;
        return costOf(events, (endedAt - startedAt) / 1_000, server, cpuBetween(before[1], readCpuTime(redis.pid)).own);
      } finally {
        sender.stop();
      }
    } finally {
      bare.stop();
    }
  }, []);
}

function costOf(requests: number, seconds: number, server: number, redis: number): Cost {
  const micros = (cpu: number) => (cpu * 1e6) / requests;
  return {
    requestsPerSecond: requests / seconds,
    cpuMicrosPerRequest: { server: micros(server), redis: micros(redis) },
  };
}

function meanOf(a: Cost, b: Cost): Cost {
  const [m, n] = [a.cpuMicrosPerRequest, b.cpuMicrosPerRequest];
  return {
    requestsPerSecond: (a.requestsPerSecond + b.requestsPerSecond) / 2,
    cpuMicrosPerRequest: { server: (m.server + n.server) / 2, redis: (m.redis + n.redis) / 2 },
  };
}

export function w3Rows({ ours, bare, ...figures }: W3Figures): Row[] {
  const cpu = ({ cpuMicrosPerRequest: { server, redis } }: Cost) =>
    `CPU per request: server ${fixed(server, 1)} µs, Redis ${fixed(redis, 1)} µs`;
  return [
    ["requests/s", whole(ours.requestsPerSecond), cpu(ours)],
    ["requests/s, bare server", whole(bare.requestsPerSecond), cpu(bare)],
    ["ratio", fixed(figures.ratioToBare), "goal 0.6, at least 0.4"],
    ["counted/s", whole(figures.countedPerSecond), "first request sent → all counts visible"],
    ["others, % of a core", whole(figures.othersCpuShare * 100), "noise"],
    ...exactRows(figures.faults, "total, duplicates and top 10 against a recount"),
  ];
}
