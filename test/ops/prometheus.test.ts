import { execFile } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { parse } from "yaml";
import { startTestApp, type TestApp } from "../support/app.ts";
import { readProjectFile } from "../support/compose.ts";

const PROMTOOL = "/usr/bin/promtool";
const OPS = fileURLToPath(new URL("../../ops/prometheus/", import.meta.url));
/** Of Prometheus itself. */
const FOREIGN = new Set(["up"]);

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly labels: { readonly severity: string };
  readonly annotations: { readonly runbook_url: string };
}

const rules: readonly Rule[] = parse(readProjectFile("ops/prometheus/rules.yml")).groups[0].rules;
const operations = readProjectFile("docs/operations.md");
const dashboard = JSON.parse(readProjectFile("ops/grafana/dashboards/tallymark.json"));

let app: TestApp;
let text: string;
/** Every name that a query may use. */
let series: Set<string>;

beforeAll(async () => {
  app = await startTestApp(null);
  await app.call("POST", "/v1/events?wait=applied", [{ type: "t", id: "1" }]);
  // Complete once jobs have looked at everything.
  const looks = ["tallymark_jobs{", "tallymark_redis_kind_bytes{", "tallymark_watermark_lag_seconds{"];
  await vi.waitFor(
    async () => {
      text = (await app.call("GET", "/metrics")).body;
      expect(looks.filter((look) => !text.includes(look))).toEqual([]);
    },
    { timeout: 60_000, interval: 250 },
  );
  series = new Set(
    [...text.matchAll(/^# TYPE (\w+) (\w+)$/gm)].flatMap(([, name, type]) =>
      type === "histogram" ? ["_bucket", "_sum", "_count"].map((suffix) => name + suffix) : [name as string],
    ),
  );
});
afterAll(() => app.stop());

/** Names of metrics in a query or a text; `tallymark_live_*` is none. */
const metricsIn = (query: string) => [...query.matchAll(/\b(?:tallymark_\w+\b(?!\*)|up(?=\{))/g)].map(([name]) => name);
const missing = (names: readonly string[]) => names.filter((name) => !series.has(name) && !FOREIGN.has(name));

test("every metric of the rules is one that the service has", () => {
  for (const { alert, expr } of rules) {
    expect(metricsIn(expr).length, alert).toBeGreaterThan(0);
    expect(missing(metricsIn(expr)), alert).toEqual([]);
  }
});

test("every panel of the dashboard asks for metrics that the service has", () => {
  const panels = dashboard.panels.filter(({ type }: { type: string }) => type !== "row");
  expect(panels.length).toBeGreaterThan(20);
  for (const { title, targets } of panels) {
    for (const { expr } of targets) {
      expect(metricsIn(expr).length, title).toBeGreaterThan(0);
      expect(missing(metricsIn(expr)), title).toEqual([]);
    }
  }
});

test("the operations page tells of each metric of ours, and of none that there is not", () => {
  const families = [...text.matchAll(/^# TYPE (\w+) /gm)].map(([, name]) => name as string);
  const ours = families.filter((name) => !/^tallymark_(process|nodejs)_/.test(name));
  expect(ours.filter((name) => !operations.includes(`\`${name}\``))).toEqual([]);
  const told = metricsIn(operations);
  expect(told.filter((name) => !series.has(name) && !families.includes(name))).toEqual([]);
});

test("each rule has a section in the runbook, which its link leads to", () => {
  const anchors = [...operations.matchAll(/^#+ (.+)$/gm)].map(([, title]) => title?.toLowerCase().replaceAll(" ", "-"));
  for (const { alert, labels, annotations } of rules) {
    expect(["page", "ticket"]).toContain(labels.severity);
    expect(annotations.runbook_url).toBe(`docs/operations.md#${alert.toLowerCase()}`);
    expect(anchors).toContain(alert.toLowerCase());
  }
});

describe.skipIf(!existsSync(PROMTOOL))("promtool", () => {
  /** Output and exit code. */
  async function promtool(args: readonly string[], input = ""): Promise<{ output: string; code: number | null }> {
    const child = execFile(PROMTOOL, args, { cwd: OPS });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) stream?.on("data", (some) => (output += some));
    child.stdin?.end(input);
    await once(child, "close");
    return { output, code: child.exitCode };
  }

  test.each([
    ["the configuration", ["check", "config", "prometheus.yml"]],
    ["the rules", ["check", "rules", "rules.yml"]],
    ["the tests of the rules", ["test", "rules", "rules.test.yml"]],
  ])("finds nothing in %s", async (_, args) => {
    expect(await promtool(args)).toMatchObject({ code: 0, output: expect.stringContaining("SUCCESS") });
  });

  test("finds nothing in what the service answers", async () => {
    expect(await promtool(["check", "metrics"], text)).toEqual({ code: 0, output: "" });
  });

  test("the tests of the rules try every rule", () => {
    const tests: { alert_rule_test: { alertname: string; exp_alerts: unknown[] }[] }[] = parse(
      readProjectFile("ops/prometheus/rules.test.yml"),
    ).tests;
    const tried = tests.flatMap(({ alert_rule_test }) => alert_rule_test);
    for (const { alert } of rules) {
      const results = tried.filter(({ alertname }) => alertname === alert).map(({ exp_alerts }) => exp_alerts.length);
      expect(results, alert).toEqual([0, 1]);
    }
  });
});
