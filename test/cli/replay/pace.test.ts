import { expect, test } from "vitest";
import { runReplay } from "../../../src/cli/replay/replay.ts";
import { eventLine, FakeClock, temporaryFile, testIo } from "../helpers.ts";

/** Replays events of the given times (ms) and tells which were sent when (ms since the start). */
async function paced(speed: number, times: readonly (readonly (number | null)[])[], answerMs = 0) {
  const clock = new FakeClock();
  const started = clock.now();
  const sent: [at: number, ids: string[]][] = [];
  // Noted as a request leaves, since on this clock the next wait is over at once.
  const send: typeof fetch = async (_url, init) => {
    const lines = String(init?.body).trimEnd().split("\n");
    sent.push([Math.round(clock.now() - started), lines.map((line) => JSON.parse(line).id)]);
    clock.time += answerMs;
    return Response.json({ accepted: lines.length, applied: lines.length });
  };
  const files: string[] = [];
  for (const [f, file] of times.entries()) {
    const lines = file.map((time, i) =>
      eventLine(0, { id: `${"abc"[f]}${i}`, time: time === null ? undefined : 1e12 + time }),
    );
    files.push(await temporaryFile(lines.join("\n")));
  }
  await runReplay({ files, url: "http://service", speed, unordered: false }, testIo({ clock, fetch: send }));
  return sent;
}

test("events go out when they are due, those due together in one request", async () => {
  expect(await paced(1, [[0, 0, 1_000, 1_000, 5_000]])).toEqual([
    [0, ["a0", "a1"]],
    [1_000, ["a2", "a3"]],
    [5_000, ["a4"]],
  ]);
});

test("the speed divides the time between events, also below one", async () => {
  expect(await paced(10, [[0, 10_000]])).toEqual([
    [0, ["a0"]],
    [1_000, ["a1"]],
  ]);
  expect(await paced(0.5, [[0, 1_000]])).toEqual([
    [0, ["a0"]],
    [2_000, ["a1"]],
  ]);
});

test("what is due within 200 ms goes together, and nothing before it is due", async () => {
  const sent = await paced(1, [Array.from({ length: 10 }, (_, i) => i * 50)]);
  expect(sent.flatMap(([, ids]) => ids)).toHaveLength(10);
  for (const [at, ids] of sent) {
    const due = ids.map((id) => Number(id.slice(1)) * 50);
    expect(Math.max(...due)).toBeLessThanOrEqual(at);
    expect(at - Math.min(...due)).toBeLessThanOrEqual(200);
  }
  expect(sent).toHaveLength(3);
});

test("an event before its time in the file, or without a time, is sent at once in its place", async () => {
  expect(await paced(1, [[1_000, 500, null, 2_000]])).toEqual([
    [0, ["a0", "a1", "a2"]],
    [1_000, ["a3"]],
  ]);
});

test("a slow service is caught up with as fast as it goes", async () => {
  const sent = await paced(1, [[0, 1_000, 2_000, 3_000, 9_000]], 2_500);
  expect(sent.flatMap(([, ids]) => ids)).toEqual(["a0", "a1", "a2", "a3", "a4"]);
  expect(sent.at(-1)?.[0]).toBeGreaterThanOrEqual(9_000);
});

test("a second file goes on in time, and one that goes back in time starts anew", async () => {
  expect(await paced(1, [[0, 1_000], [3_000], [0, 500]])).toEqual([
    [0, ["a0"]],
    [1_000, ["a1"]],
    [3_000, ["b0", "c0"]],
    [3_500, ["c1"]],
  ]);
});
