import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { StartupError } from "../../../src/core/errors.ts";
import { lockDirectory } from "../../../src/redis/embedded/lock.ts";
import {
  formatIdentity,
  identityOf,
  isAlive,
  parseIdentity,
  statByPs,
} from "../../../src/redis/embedded/process-identity.ts";
import { temporaryDirectory, until } from "./helpers.ts";

async function deadProcess() {
  const child = spawn("sleep", ["60"]);
  const identity = identityOf(child.pid ?? 0);
  child.kill("SIGKILL");
  await once(child, "exit");
  return identity;
}

test("a lock keeps others out until it is released", async () => {
  const directory = await temporaryDirectory();
  const lock = await lockDirectory(directory);
  const refused = await lockDirectory(directory).catch((error: unknown) => error);
  expect(refused).toBeInstanceOf(StartupError);
  expect((refused as StartupError).message).toBe(
    `${directory} is in use by process ${process.pid}; stop it or choose another TALLYMARK_DATA_DIR`,
  );
  await lock.release();
  await (await lockDirectory(directory)).release();
  expect(await readdir(directory)).toEqual(["lock.2"]);
});

test("the lock of a dead owner is taken over by exactly one of many", async () => {
  const dead = await deadProcess();
  for (let round = 0; round < 20; round++) {
    const directory = await temporaryDirectory();
    await writeFile(join(directory, "lock.1"), formatIdentity(dead));
    const outcomes = await Promise.allSettled(Array.from({ length: 8 }, () => lockDirectory(directory)));
    expect(outcomes.filter((outcome) => outcome.status === "fulfilled")).toHaveLength(1);
    for (const outcome of outcomes) {
      if (outcome.status === "rejected") expect(outcome.reason).toBeInstanceOf(StartupError);
    }
    expect(await readdir(directory)).toEqual(["lock.2"]);
  }
});

test("an owner who comes late with an outdated look at the locks does not get in", async () => {
  const directory = await temporaryDirectory();
  const first = await lockDirectory(directory);
  await first.release();
  const second = await lockDirectory(directory);
  // What a process does that saw no lock at all before the two above.
  await writeFile(join(directory, "lock.1"), formatIdentity(await deadProcess()), { flag: "wx" });
  await expect(lockDirectory(directory)).rejects.toThrow(`process ${process.pid}`);
  await second.release();
});

test.skipIf(identityOf(process.pid).startedAt === null)(
  "a recycled process number is not taken for the owner",
  async () => {
    const directory = await temporaryDirectory();
    await writeFile(join(directory, "lock.7"), formatIdentity({ pid: process.pid, startedAt: "another boot/1" }));
    await lockDirectory(directory);
    expect(await readdir(directory)).toEqual(["lock.8"]);
    expect(parseIdentity(await readFile(join(directory, "lock.8"), "utf8"))).toEqual(identityOf(process.pid));
  },
);

test("a lock with content that makes no sense belongs to nobody", async () => {
  for (const content of ["", "{", "null", '{"pid":-1,"startedAt":null}', '{"pid":"1","startedAt":null}']) {
    const directory = await temporaryDirectory();
    await writeFile(join(directory, "lock.1"), content);
    await (await lockDirectory(directory)).release();
  }
});

test("a process is alive until it ends, even if nobody has waited for it", async () => {
  // The shell never waits for its child, which ends at once and stays as a zombie.
  const shell = spawn("sh", ["-c", "sleep 0 & echo $!; exec sleep 60"]);
  const [line] = await once(shell.stdout, "data");
  const child = identityOf(Number(line));
  await until("end of the child", () => !isAlive(child));
  expect(isAlive(identityOf(shell.pid ?? 0))).toBe(true);
  shell.kill("SIGKILL");
  await once(shell, "exit");
});

test("where there is no /proc, ps tells a process from another", async ({ skip }) => {
  const own = statByPs(process.pid);
  if (own === undefined) return skip("this system has no ps");
  expect(own).toEqual({ startedAt: expect.stringMatching(/\d\d:\d\d:\d\d \d{4}$/), ended: false });
  expect(statByPs((await deadProcess()).pid)).toBeUndefined();
});
