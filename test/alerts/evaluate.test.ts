import { describe, expect, test } from "vitest";
import { endInstance, type InstanceState, type Reading, type Step, step } from "../../src/alerts/evaluate.ts";
import type { AlertEvent } from "../../src/alerts/event.ts";
import { type AlertInput, compileRule, type Rule } from "../../src/alerts/rule.ts";

const MINUTE = 60_000;
const T = 1_700_000_000_000;

function rule(partial: Partial<AlertInput>, silencedUntil = 0): Rule {
  const definition = { name: "r", counter: "c", key: null, measure: "count", last: "1m", op: ">", threshold: 100 };
  const record = { definition: { ...definition, ...partial }, webhook: null, silencedUntil, createdAt: 0 };
  return compileRule({ id: "r", version: 1, text: JSON.stringify(record) });
}

/** Steps one instance through its life; its state goes through its stored text every time, as in a restart. */
class Life {
  #text = "";
  #made = 0;
  readonly sent: string[] = [];
  readonly recorded: string[] = [];

  at(now: number, reading: Reading, by: Rule): string {
    return this.#take(step(by, this.state, reading, T + now, this.#recorder(now)));
  }

  end(now: number, by: Rule): string {
    return this.#take(endInstance(by, this.state as InstanceState, T + now, this.#recorder(now)));
  }

  get state(): InstanceState | null {
    return this.#text ? JSON.parse(this.#text) : null;
  }

  #recorder(now: number) {
    return (made: { type: string; since: number; firing?: string }) =>
      ({ id: `${made.type}${++this.#made}`, time: String(now), ...made }) as unknown as AlertEvent;
  }

  #take({ state, recorded, due }: Step): string {
    this.#text = state ? JSON.stringify(state) : "";
    if (recorded) this.recorded.push(recorded.id);
    this.sent.push(...due.map(({ id }) => id));
    return state?.state ?? "none";
  }
}

/** States after each reading, one every `every` ms. */
function run(by: Rule, readings: readonly Reading[], every: number): string[] {
  const life = new Life();
  return readings.map((reading, i) => life.at(i * every, reading, by));
}

test("Prometheus' case: < 100 for a minute, evaluated every five", () => {
  const by = rule({ op: "<", for: "1m" });
  expect(run(by, [75, 85, 95, 105, 105, 95, 85], 5 * MINUTE)).toEqual([
    "pending",
    "firing",
    "firing",
    "none",
    "none",
    "pending",
    "firing",
  ]);
  expect(run(by, [80, 90, 100, 110, 120, 130, 140], 5 * MINUTE)).toEqual([
    "pending",
    "firing",
    "none",
    "none",
    "none",
    "none",
    "none",
  ]);
});

describe("conditions", () => {
  test.each([
    [">", 100, 101],
    [">=", 99, 100],
    ["<", 100, 99],
    ["<=", 101, 100],
  ] as const)("%s does not hold at %d and holds at %d", (op, calm, holding) => {
    expect(run(rule({ op }), [calm, holding, calm], 1_000)).toEqual(["none", "firing", "none"]);
  });

  test.each([
    ["without noData, zeros are compared", undefined, 0, ["firing", "firing"]],
    ["noData ok: not met", "ok", "no data", ["none", "none"]],
    ["noData firing: met", "firing", "no data", ["firing", "firing"]],
  ] as const)("%s", (_, noData, reading, states) => {
    const by = rule({ op: "<", ...(noData && { noData }) });
    expect(run(by, [reading, reading], 1_000)).toEqual(states);
  });

  test("noData firing waits for `for`, and data resolves it", () => {
    const by = rule({ noData: "firing", for: "2s" });
    expect(run(by, ["no data", "no data", "no data", 5], 1_000)).toEqual(["pending", "pending", "firing", "none"]);
  });

  test("no value, as against a span of zeros, does not meet the condition", () => {
    const by = rule({ op: ">", threshold: 50, compare: "previous", for: "2s" });
    expect(run(by, [60, "none", 60, 60, 60, "none"], 1_000)).toEqual([
      "pending",
      "none",
      "pending",
      "pending",
      "firing",
      "none",
    ]);
  });
});

describe("waiting", () => {
  test("`for` begins anew after a calm evaluation", () => {
    expect(run(rule({ for: "2s" }), [101, 101, 100, 101, 101, 101], 1_000)).toEqual([
      "pending",
      "pending",
      "none",
      "pending",
      "pending",
      "firing",
    ]);
  });

  test("keepFiring fires on after the end, and a return begins it anew", () => {
    const by = rule({ keepFiring: "3s" });
    expect(run(by, [101, 0, 0, 101, 0, 0, 0, 0], 1_000)).toEqual([
      "firing",
      "firing",
      "firing",
      "firing",
      "firing",
      "firing",
      "firing",
      "none",
    ]);
  });

  test.each([
    [">", 80, [90, 101, 81, 80], ["none", "firing", "firing", "none"]],
    [">=", 80, [90, 100, 80, 79], ["none", "firing", "firing", "none"]],
    ["<", 120, [110, 99, 119, 120], ["none", "firing", "firing", "none"]],
    ["<=", 120, [110, 100, 120, 121], ["none", "firing", "firing", "none"]],
  ] as const)("%s: once firing, it resolves past %d only", (op, resolve, readings, states) => {
    expect(run(rule({ op, resolve }), readings, 1_000)).toEqual(states);
  });

  test("`for` raised while firing is no all-clear, and one raised while pending holds", () => {
    const life = new Life();
    expect(life.at(0, 101, rule({}))).toBe("firing");
    expect(life.at(1_000, 101, rule({ for: "1h" }))).toBe("firing");
    expect(life.recorded).toEqual(["firing1"]);
    const pending = new Life();
    expect(pending.at(0, 101, rule({ for: "2s" }))).toBe("pending");
    expect(pending.at(2_000, 101, rule({ for: "3s" }))).toBe("pending");
    expect(pending.at(3_000, 101, rule({ for: "3s" }))).toBe("firing");
  });
});

describe("stale", () => {
  test("an instance keeps its state, and the time does not count for `for`", () => {
    const by = rule({ for: "10s" });
    const life = new Life();
    life.at(0, 101, by);
    life.at(4_000, 101, by);
    expect(life.at(5_000, "stale", by)).toBe("pending");
    expect(life.at(3_600_000, "stale", by)).toBe("pending");
    expect(life.at(3_605_000, 101, by)).toBe("pending"); // 5 s before, none during
    expect(life.at(3_609_999, 101, by)).toBe("pending");
    expect(life.at(3_610_000, 101, by)).toBe("firing");
  });

  test("what fires goes on, also through keepFiring, and nothing is sent meanwhile", () => {
    const by = rule({ keepFiring: "10s" });
    const life = new Life();
    life.at(0, 101, by);
    life.at(1_000, 0, by);
    expect(life.at(5_000, "stale", by)).toBe("firing");
    expect(life.at(100_000, "stale", by)).toBe("firing");
    expect(life.at(101_000, 0, by)).toBe("firing");
    expect(life.sent).toEqual(["firing1"]);
    expect(life.at(107_000, 0, by)).toBe("none");
    expect(life.sent).toEqual(["firing1", "resolved2"]);
  });

  test("that it is stale is written once", () => {
    const state: InstanceState = { state: "firing", since: T, event: "e" };
    const never = () => {
      throw new Error("no transition");
    };
    const first = step(rule({}), state, "stale", T + 1, never).state;
    expect(step(rule({}), first, "stale", T + 2, never).state).toBe(first);
    expect(step(rule({}), null, "stale", T, never).state).toBeNull();
  });
});

test("nothing changes, nothing is to be written", () => {
  const never = () => {
    throw new Error("no transition");
  };
  const states: [Reading, InstanceState | null][] = [
    [1, null],
    [101, { state: "pending", since: T }],
    [101, { state: "firing", since: T, event: "e" }],
    [1, { state: "firing", since: T, event: "e", clear: T }],
  ];
  for (const [reading, state] of states) {
    expect(step(rule({ for: "1m", keepFiring: "1m" }), state, reading, T + 1, never).state).toBe(state);
  }
});

describe("silences", () => {
  const loud = rule({});
  const silent = rule({}, T + 10_000);

  test("still firing when it ends: the firing is sent then, under its own id", () => {
    const life = new Life();
    expect(life.at(0, 101, silent)).toBe("firing");
    expect([life.recorded, life.sent]).toEqual([["firing1"], []]);
    life.at(9_999, 101, silent);
    expect(life.sent).toEqual([]);
    life.at(10_000, 101, silent);
    life.at(11_000, 101, silent);
    expect([life.recorded, life.sent]).toEqual([["firing1"], ["firing1"]]);
    life.at(12_000, 0, silent);
    expect(life.sent).toEqual(["firing1", "resolved2"]);
  });

  test("fired before and resolved during: the resolve is sent afterwards", () => {
    const life = new Life();
    life.at(0, 101, loud);
    expect(life.at(1_000, 0, silent)).toBe("inactive");
    expect([life.recorded, life.sent]).toEqual([["firing1", "resolved2"], ["firing1"]]);
    expect(life.at(10_000, 0, silent)).toBe("none");
    expect(life.sent).toEqual(["firing1", "resolved2"]);
  });

  test("fired and resolved within: both are recorded and neither is sent", () => {
    const life = new Life();
    life.at(0, 101, silent);
    expect(life.at(1_000, 0, silent)).toBe("none");
    expect(life.at(11_000, 0, silent)).toBe("none");
    expect([life.recorded, life.sent]).toEqual([["firing1", "resolved2"], []]);
  });

  test("resolved and fired again within: both are sent afterwards, in order", () => {
    const life = new Life();
    life.at(0, 101, loud);
    life.at(1_000, 0, silent);
    life.at(2_000, 101, silent);
    life.at(3_000, 0, silent); // cancels the second firing
    expect(life.at(4_000, 101, silent)).toBe("firing");
    life.at(10_000, 101, silent);
    expect(life.recorded).toEqual(["firing1", "resolved2", "firing3", "resolved4", "firing5"]);
    expect(life.sent).toEqual(["firing1", "resolved2", "firing5"]);
  });

  test("the silence ends in the very evaluation that resolves: nothing is sent", () => {
    const life = new Life();
    life.at(0, 101, silent);
    expect(life.at(10_000, 0, silent)).toBe("none");
    expect(life.sent).toEqual([]);
  });

  test("what is owed survives pending", () => {
    const waiting = rule({ for: "5s" }, T + 10_000);
    const life = new Life();
    life.at(0, 101, loud);
    life.at(1_000, 0, waiting);
    expect(life.at(2_000, 101, waiting)).toBe("pending");
    expect(life.at(10_000, 0, waiting)).toBe("none");
    expect(life.sent).toEqual(["firing1", "resolved2"]);
  });

  test("a stale rule owes on", () => {
    const life = new Life();
    life.at(0, 101, silent);
    life.at(20_000, "stale", silent);
    expect(life.sent).toEqual([]);
    life.at(30_000, 101, silent);
    expect(life.sent).toEqual(["firing1"]);
  });
});

describe("a rule that is put on something else", () => {
  test("resolves what fires, and forgets what is pending", () => {
    const life = new Life();
    life.at(0, 101, rule({}));
    expect(life.end(1_000, rule({}))).toBe("none");
    expect(life.sent).toEqual(["firing1", "resolved2"]);
    const pending = new Life();
    pending.at(0, 101, rule({ for: "1m" }));
    expect(pending.end(1_000, rule({}))).toBe("none");
    expect(pending.recorded).toEqual([]);
  });

  test("while silenced, the resolve is owed", () => {
    const life = new Life();
    const silent = rule({}, T + 10_000);
    life.at(0, 101, rule({}));
    expect(life.end(1_000, silent)).toBe("inactive");
    life.at(10_000, "none", silent);
    expect(life.sent).toEqual(["firing1", "resolved2"]);
  });
});
