import { expect, test } from "vitest";
import { SHOP_COUNTERS, shopSlot } from "../../../src/cli/demo/shop.ts";
import { parseCounter } from "../../../src/core/counter-parse.ts";
import { Rejection, validateEvent } from "../../../src/core/event.ts";

const FIRST = Math.floor(Date.parse("2026-03-01T12:00:00Z") / 1_000);
const slots = Array.from({ length: 3_600 }, (_, i) => shopSlot(7, FIRST + i));
const events = slots.flatMap((slot) => slot.events);

test("the same seed and second make the same events, another seed makes others", () => {
  expect(shopSlot(7, FIRST + 5)).toEqual(slots[5]);
  expect(shopSlot(8, FIRST + 5)).not.toEqual(slots[5]);
});

test("ids are distinct, copies are copies, and every event is one that the service takes", () => {
  expect(new Set(events.map(({ id }) => id)).size).toBe(events.length);
  expect(slots.every(({ events: own, copies }) => copies.every((copy) => own.includes(copy)))).toBe(true);
  const now = (FIRST + 3_600) * 1_000;
  expect(events.filter((event) => validateEvent(event, now, () => "") instanceof Rejection)).toEqual([]);
  for (const counter of SHOP_COUNTERS) expect(parseCounter(counter)).toMatchObject({ name: counter.name });
});

test("an hour is lively: rates, bursts, copies, late ones, and leaders that change", () => {
  const perSecond = slots.map((slot) => slot.events.length + slot.copies.length);
  expect(events.length / 3_600).toBeGreaterThan(50);
  expect(events.length / 3_600).toBeLessThan(120);
  expect(Math.max(...perSecond)).toBeGreaterThan(150);
  expect(slots.reduce((sum, { copies }) => sum + copies.length, 0) / events.length).toBeCloseTo(0.03, 2);
  const isLate = (slot: (typeof slots)[number], i: number) =>
    slot.events.filter(({ time }) => Number(time) < (FIRST + i) * 1_000).length;
  expect(slots.reduce((sum, slot, i) => sum + isLate(slot, i), 0)).toBeGreaterThan(500);
  const leaders = new Set<string>();
  for (let minute = 0; minute < 60; minute++) {
    const counts = new Map<string, number>();
    for (const { subject = "" } of slots.slice(minute * 60, minute * 60 + 60).flatMap((slot) => slot.events)) {
      counts.set(subject, (counts.get(subject) ?? 0) + 1);
    }
    leaders.add([...counts].sort(([, a], [, b]) => b - a)[0]?.[0] ?? "");
  }
  expect(leaders.size).toBeGreaterThanOrEqual(5);
});
