import { afterAll, beforeAll, expect, test } from "vitest";
import { startTestApp, type TestApp } from "../support/app.ts";
import { LiveClient, type Received } from "./client.ts";
import { openEvents } from "./events.ts";

let app: TestApp;
const FEED = { feed: "alerts", every: "100ms" };

beforeAll(async () => {
  app = await startTestApp([{ name: "views", event: "view", by: ["subject"], windows: ["1s", "1m"] }]);
});
afterAll(() => app.stop());

async function addRule(key: string): Promise<string> {
  const rule = { name: `busy ${key}`, counter: "views", key: [key], measure: "count", op: ">=", threshold: 1 };
  const { status, body } = await app.call("POST", "/v1/alerts", { ...rule, last: "1m", for: "0s" });
  expect(status).toBe(201);
  return body.id;
}

const view = (subject: string) => app.call("POST", "/v1/events?wait=applied", { type: "view", subject });
const fired = (alert: string) => (frame: Received) =>
  frame.data?.events?.some(
    (event: { alert: string; type: string }) => event.alert === alert && event.type === "firing",
  );

test("each transition is seen once and in order, and a viewer goes on behind the last one it has seen", async () => {
  const rules = [await addRule("/a"), await addRule("/b"), await addRule("/c")] as [string, string, string];
  const client = await LiveClient.open(app.url);
  client.subscribe("alerts", FEED);
  expect(await client.until(({ seq }) => seq === 0)).toMatchObject({ event: "snapshot", data: { events: [] } });
  await view("/a");
  await client.until(fired(rules[0]));
  await view("/b");
  const second = await client.until(fired(rules[1]));
  const events = client.received.flatMap(({ data }) => data.events);
  expect(events.map(({ alert, type }) => [alert, type])).toEqual([
    [rules[0], "firing"],
    [rules[1], "firing"],
  ]);
  await client.close();

  await view("/c");
  const [byId, byPoint, fromFirst] = [
    await LiveClient.open(app.url),
    await LiveClient.open(app.url),
    await LiveClient.open(app.url),
  ];
  byId.subscribe("alerts", { ...FEED, after: events[1].id });
  byPoint.subscribe("alerts", { ...FEED, after: second.data.last });
  fromFirst.subscribe("alerts", { ...FEED, after: events[0].id });
  const alertsOf = ({ received }: LiveClient) =>
    received.flatMap(({ data }) => data.events.map(({ alert }: { alert: string }) => alert));
  for (const viewer of [byId, byPoint, fromFirst]) await viewer.until(fired(rules[2]));
  expect(alertsOf(byId)).toEqual([rules[2]]);
  expect(alertsOf(byPoint)).toEqual([rules[2]]);
  expect(alertsOf(fromFirst)).toEqual([rules[1], rules[2]]);
  for (const viewer of [byId, byPoint, fromFirst]) await viewer.close();

  const headers = { "last-event-id": second.data.last };
  const { events: stream, close } = await openEvents(`${app.url}/v1/live/sse?feed=alerts&every=100ms`, headers);
  const { value } = await stream.next();
  expect(value).toMatchObject({ event: "snapshot", data: { events: [{ alert: rules[2] }] } });
  expect(value?.id).toBe(value?.data.last);
  close();
});

test.each(["x", "1", "evt_short", "-1-0"])("a resume point that is none: %s", async (after) => {
  const client = await LiveClient.open(app.url);
  client.subscribe("alerts", { ...FEED, after });
  const { problem } = await client.until(({ event }) => event === "error");
  expect(problem).toMatchObject({ code: "invalid_parameter", detail: expect.stringContaining("after") });
  await client.close();
});
