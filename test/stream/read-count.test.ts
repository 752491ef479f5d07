import { expect, test } from "vitest";
import { ReadCount, type ReceivedEntry } from "../../src/stream/entries.ts";

const entries = (count: number, events: number) =>
  Array.from({ length: count }, () => ({ events: Array.from({ length: events }) }) as unknown as ReceivedEntry);

test("as many entries are asked for as bring about the wanted number of events", () => {
  const count = new ReadCount(4_000);
  count.learn(entries(4, 500));
  expect(count.entries).toBe(16);
  count.learn(entries(16, 10));
  expect(count.entries).toBe(400);
  count.learn([]);
  expect(count.entries).toBe(400);
});

test("more is waiting after a read that brought all it had asked for, and only then", () => {
  const count = new ReadCount(4_000);
  expect(count.isBehind).toBe(false);
  count.learn(entries(count.entries, 10));
  expect(count.isBehind).toBe(true);
  count.learn(entries(count.entries - 1, 10));
  expect(count.isBehind).toBe(false);
  count.learn([]);
  expect(count.isBehind).toBe(false);
});
