import { describe, expect, it, onTestFinished } from "vitest";
import { checkTruth, type Findings } from "./check.ts";
import { Model, type ModelCounter } from "./model.ts";
import { serveModel } from "./model-server.ts";
import { DATA_DIR, type Dataset, type LogEvent, loadCounters, loadLines } from "./truth.ts";

const NASA: Dataset = "nasa-1995-08-01";

/** Tests the test: a check that finds nothing wrong in a wrong service would be worse than none. */
describe.skipIf(!DATA_DIR)("checkTruth against a model (needs TALLYMARK_TEST_DATA)", () => {
  it.each<Dataset>([NASA, "wiki-2015-09-12"])("%s: finds no difference where all is right", async (dataset) => {
    const { checked, differences } = await check(dataset, eventsOf(dataset));
    expect(differences).toEqual([]);
    expect(checked).toBeGreaterThan(50_000);
  });

  it("sees one event that was not counted", async () => {
    const events = eventsOf(NASA);
    expect((await check(NASA, events.toSpliced(20_000, 1))).differences.length).toBeGreaterThan(10);
  });

  it("sees one event that was counted twice", async () => {
    const events = eventsOf(NASA);
    const again = { ...events[777]!, id: "again" };
    expect((await check(NASA, [...events, again])).differences.length).toBeGreaterThan(10);
  });

  it("sees one event in the minute after its own", async () => {
    const events = eventsOf(NASA);
    const event = events[12_345]!;
    const later = { ...event, time: new Date(Date.parse(event.time) + 60_000).toISOString() };
    expect((await check(NASA, events.with(12_345, later))).differences.length).toBeGreaterThan(1);
  });

  it("sees a value that is one off", async () => {
    const events = eventsOf(NASA);
    const event = events[5]!;
    const changed = { ...event, data: { ...event.data, value: (event.data.value as number) + 1 } };
    expect((await check(NASA, events.with(5, changed))).differences.length).toBeGreaterThan(1);
  });
});

function eventsOf(dataset: Dataset): LogEvent[] {
  return loadLines(dataset).map((line) => JSON.parse(line) as LogEvent);
}

async function check(dataset: Dataset, events: readonly LogEvent[]): Promise<Findings> {
  const { counters } = loadCounters() as { counters: ModelCounter[] };
  const server = await serveModel(new Model(counters, events));
  onTestFinished(() => server.close());
  return checkTruth(server.url, dataset);
}
