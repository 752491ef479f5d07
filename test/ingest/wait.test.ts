import { expect, test } from "vitest";
import { startTestApp } from "../support/app.ts";

test("a large request over many partitions waits for all of its entries, without a warning", async () => {
  const warnings: string[] = [];
  const onWarning = (warning: Error) => void warnings.push(warning.message);
  process.on("warning", onWarning);
  const app = await startTestApp([{ name: "all", event: "*", by: [], windows: ["1h"] }], {
    TALLYMARK_PARTITIONS: "16",
  });
  const events = Array.from({ length: 10_000 }, (_, i) => ({ id: `e${i}`, type: "t" }));
  const { status, body } = await app.call("POST", "/v1/events?wait=applied", events);
  expect([status, body.applied]).toEqual([200, 10_000]);
  const { body: value } = await app.call("GET", "/v1/counters/all/value?last=1h");
  expect(value.count).toBe(10_000);
  await app.stop();
  process.off("warning", onWarning);
  expect(warnings).toEqual([]);
});
