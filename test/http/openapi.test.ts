import { afterAll, beforeAll, expect, test } from "vitest";
import { startTestApp, type TestApp } from "../support/app.ts";

let app: TestApp;
beforeAll(async () => {
  app = await startTestApp(null);
});
afterAll(() => app.stop());

test("the OpenAPI document describes every route, its errors and the bodies of events", async () => {
  const { body: document } = await app.call("GET", "/openapi.json");
  expect(document.openapi).toBe("3.1.0");
  expect(Object.keys(document.paths).sort()).toEqual([
    "/livez",
    "/metrics",
    "/readyz",
    "/v1/alerts",
    "/v1/alerts/{id}",
    "/v1/alerts/{id}/events",
    "/v1/alerts/{id}/events/{event}/resend",
    "/v1/alerts/{id}/silence",
    "/v1/counters",
    "/v1/counters/{name}",
    "/v1/counters/{name}/keys",
    "/v1/counters/{name}/rebuild",
    "/v1/counters/{name}/series",
    "/v1/counters/{name}/top",
    "/v1/counters/{name}/value",
    "/v1/dead-letters",
    "/v1/dead-letters/{ref}/retry",
    "/v1/events",
    "/v1/keys",
    "/v1/keys/{id}",
    "/v1/late",
    "/v1/late/readmit",
    "/v1/live",
    "/v1/live/sse",
    "/v1/query",
  ]);
  const events = document.paths["/v1/events"].post;
  expect(Object.keys(events.requestBody.content)).toHaveLength(4);
  expect(Object.keys(events.responses).sort()).toEqual(["200", "202", "400", "401", "403", "413", "415", "429", "503"]);
  expect(Object.keys(events.responses["503"].content)).toEqual(["application/problem+json"]);
});

test("health and metrics answer", async () => {
  expect((await app.call("GET", "/livez")).body).toEqual({ status: "ok" });
  expect((await app.call("GET", "/readyz")).body).toEqual({ status: "ok", troubles: [], notes: [] });
  await app.call("POST", "/v1/events?wait=applied", [{ id: "m", type: "t" }, { id: "m", type: "t" }, 5]);
  // What is counted is answered at once, and told by the workers' thread a moment later.
  const told = async () => (await app.call("GET", "/metrics")).body;
  await expect.poll(told).toContain('tallymark_events_total{outcome="applied"} 1');
  const metrics = await told();
  expect(metrics).toContain('tallymark_events_total{outcome="duplicates"} 1');
  expect(metrics).toContain('tallymark_ingest_events_rejected_total{code="invalid_event"} 1');
  expect(await app.call("GET", "/nowhere")).toMatchObject({ status: 404, body: { code: "not_found" } });
});
