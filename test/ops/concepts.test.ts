import { afterAll, beforeAll, expect, test } from "vitest";
import { startTestApp, type TestApp } from "../support/app.ts";
import { readProjectFile } from "../support/compose.ts";

/** The example of docs/concepts.md, sent as it stands there. */

const page = readProjectFile("docs/concepts.md");
const DAY = "2026-03-02";
const [definition] = [...page.matchAll(/```json\n([^`]+)```/g)].map(([, json]) => JSON.parse(json as string));
const rows = [...page.matchAll(/^\| \d \| (\w) \| ([\d:]+) \| (\/\w+) \| (\d+) \| (.+) \|$/gm)].map(
  ([, id, time, subject, amount, outcome]) => ({ id, time, subject, amount: Number(amount), outcome: String(outcome) }),
);

let app: TestApp;
beforeAll(async () => {
  app = await startTestApp([{ name: "sales", ...definition }]);
});
afterAll(() => app.stop());

const value = async (from: string, to: string, key?: string) => {
  const query = new URLSearchParams({ from: `${DAY}T${from}:00Z`, to: `${DAY}T${to}:00Z`, ...(key && { key }) });
  const { count, sum, final } = (await app.call("GET", `/v1/counters/sales/value?${query}`)).body;
  return { count, sum, final };
};

test("each event becomes what the page says of it", async () => {
  expect(rows).toHaveLength(7);
  for (const { id, time, subject, amount, outcome } of rows) {
    const event = { id, type: "sale", time: `${DAY}T${time}Z`, subject, data: { amount } };
    const { body } = await app.call("POST", "/v1/events?wait=applied", event);
    const isDuplicate = outcome.includes("**duplicate**");
    const isLate = outcome.includes("**late**");
    const expected = {
      duplicates: Number(isDuplicate),
      late: Number(isLate),
      applied: Number(!isDuplicate && !isLate),
    };
    expect(body, `event ${id}`).toMatchObject(expected);
  }
});

test("the numbers of the page are those of the service", async () => {
  expect(await value("10:00", "10:01", "/north")).toEqual({ count: 2, sum: 6, final: true });
  expect(await value("10:00", "10:01", "/south")).toEqual({ count: 1, sum: 7, final: true });
  expect(await value("10:00", "10:01")).toEqual({ count: 3, sum: 13, final: true });
  expect(await value("10:00", "11:00")).toEqual({ count: 5, sum: 19, final: false });
  for (const text of ["count 2, sum 6", "count 1, sum 7", "count 3, sum 13", "count 5, sum 19"]) {
    expect(page.replaceAll(/\s+/g, " ")).toContain(text);
  }
});

test("what was late counts once it is readmitted, in both windows", async () => {
  const { status, body } = await app.call("POST", "/v1/late/readmit", { counter: "sales", all: true });
  expect([status, body]).toEqual([202, { readmitted: 1 }]);
  // The day is long past: its minutes may be in cold storage by now, whose first start takes seconds.
  const both = async () => [await value("10:00", "10:01", "/south"), await value("10:00", "11:00")];
  await expect.poll(both, { timeout: 60_000 }).toMatchObject([
    { count: 2, sum: 16 },
    { count: 6, sum: 28 },
  ]);
});
