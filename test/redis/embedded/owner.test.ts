import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { client, spawnOwner, start, temporaryDirectory, untilGone } from "./helpers.ts";

async function startedBy(owner: ReturnType<typeof spawnOwner>) {
  const report = await owner.report();
  if (report.started === undefined) throw new Error(report.failed ?? "the owner said nothing");
  return report.started;
}

test("Redis goes when its owner is killed, and the next owner finds the data", async () => {
  const dataDir = await temporaryDirectory();
  const owner = spawnOwner(dataDir);
  const { pid } = await startedBy(owner);
  await expect(start(dataDir)).rejects.toThrow(`is in use by process ${owner.pid}`);
  owner.process.kill("SIGKILL");
  await untilGone(pid);
  expect(await client(await start(dataDir)).get("written-by")).toBe(String(owner.pid));
});

test("a start right after the owner was killed waits for its Redis to go", async () => {
  const dataDir = await temporaryDirectory();
  const owner = spawnOwner(dataDir);
  await startedBy(owner);
  const ended = new Promise((resolve) => owner.process.once("exit", resolve));
  owner.process.kill("SIGKILL");
  await ended;
  expect(await client(await start(dataDir)).get("written-by")).toBe(String(owner.pid));
});

test.runIf(process.platform === "linux")("a Redis that stays behind is ended by the next owner", async () => {
  const dataDir = await temporaryDirectory();
  const owner = spawnOwner(dataDir);
  const { pid } = await startedBy(owner);
  for (const watcher of groupOf(pid).filter((member) => member !== pid)) process.kill(watcher, "SIGKILL");
  owner.process.kill("SIGKILL");
  const gone = untilGone(pid);
  await untilGone(owner.pid);
  expect(await client(await start(dataDir)).get("written-by")).toBe(String(owner.pid));
  await gone;
});

test("of two that start at once after a dead owner, exactly one wins", async () => {
  const dataDir = await temporaryDirectory();
  const dead = spawnOwner(dataDir);
  const { pid } = await startedBy(dead);
  dead.process.kill("SIGKILL");
  await untilGone(dead.pid);
  const reports = await Promise.all([spawnOwner(dataDir).report(), spawnOwner(dataDir).report()]);
  expect(reports.filter((report) => report.started !== undefined)).toHaveLength(1);
  const [failed] = reports.flatMap((report) => report.failed ?? []);
  expect(failed).toMatch(/^StartupError: .* is in use by (process \d+|another process)/);
  await untilGone(pid);
});

test("Ctrl-C in the terminal reaches the owner and not Redis", async () => {
  const owner = spawnOwner(await temporaryDirectory());
  await startedBy(owner);
  process.kill(-owner.pid, "SIGINT");
  expect(await owner.report()).toEqual({ interrupted: "PONG" });
});

function groupOf(leader: number): number[] {
  const numbers = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  return numbers.map(Number).filter((pid) => {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
      return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[2]) === leader;
    } catch {
      return false;
    }
  });
}
