import { describe, expect, test } from "vitest";
import { alignSeries, pickWindow } from "../../src/dashboard/chart-data.ts";
import { columnFormat, formatAge, formatAmount, formatKey } from "../../src/dashboard/format.ts";
import { movements } from "../../src/dashboard/movement.ts";
import { formatView, KEYS_MAX, parseView, type ViewState } from "../../src/dashboard/url-state.ts";

describe("the address", () => {
  test("holds all that is chosen, whatever the keys are", () => {
    const view: ViewState = {
      last: "15m",
      paused: true,
      panels: [
        {
          counter: "views",
          window: "1m",
          measure: "unique",
          total: false,
          keys: [["/?a=1&b=[2]#c"], [""], ["é 😀\u0000"]],
        },
        { counter: "sales", window: null, measure: "count", total: true, keys: [["FR", "/"]] },
      ],
    };
    expect(parseView(formatView(view))).toEqual(view);
  });

  test("is empty while nothing is chosen", () => {
    expect(formatView(parseView(""))).toBe("?");
  });

  test("shows less, and does not fail, where it is mistyped", () => {
    const keys = Array.from({ length: KEYS_MAX + 1 }, (_, i) => `key=["${i}"]`).join("&");
    const view = parseView(`?last=soon&key=["a"]&show=views&measure=mean&key=nonsense&key=[1]&key={}&${keys}&zoom=3`);
    expect(view.last).toBe("1h");
    expect(view.panels).toHaveLength(1);
    expect(view.panels?.[0]).toMatchObject({ counter: "views", measure: "count" });
    expect(view.panels?.[0]?.keys).toHaveLength(KEYS_MAX);
  });
});

describe("a ranking's moves", () => {
  const ranked = (...names: string[]) => names.map((name) => ({ key: [name], count: 1 }));
  test("up, down, the same and new", () => {
    const earlier = [["a"], ["b"], ["c"], ["d"]];
    expect(movements(ranked("c", "b", "e", "a"), earlier)).toEqual([
      { kind: "up", places: 2 },
      { kind: "same" },
      { kind: "new" },
      { kind: "down", places: 3 },
    ]);
  });

  test("keys whose fields join to the same text are told apart", () => {
    expect(movements([{ key: ["a,b", "c"], count: 1 }], [["a", "b,c"]])).toEqual([{ kind: "new" }]);
  });
});

describe("a chart's data", () => {
  const series = (first: number, counts: (number | string)[], open: number) => ({
    counter: "c",
    key: null,
    from: "",
    to: "",
    watermark: null,
    final: false,
    count: 0,
    window: "10s",
    buckets: counts.map((count, i) => ({
      start: new Date((first + i) * 10_000).toISOString(),
      count,
      final: i < counts.length - open,
    })),
  });

  test("a series that is a bucket behind has a gap there, and a bucket is final only where all say so", () => {
    expect(alignSeries([series(0, [1, 2, 3], 0), series(1, [7, 8, "9007199254740993"], 2)], "count")).toEqual({
      starts: [0, 10_000, 20_000, 30_000],
      final: [true, true, false, false],
      columns: [
        [1, 2, 3, null],
        [null, 7, 8, "9007199254740993"],
      ],
    });
  });

  test("the window is the finest that draws well, else the widest", () => {
    const windows = ["10s", "1m", "1h"];
    expect(pickWindow(windows, 3_600_000, 400)).toBe("10s");
    expect(pickWindow(windows, 3 * 3_600_000, 400)).toBe("1m");
    expect(pickWindow(windows, 400 * 86_400_000, 400)).toBe("1h");
  });
});

describe("numbers", () => {
  const digits = (text: string) => text.replaceAll(/[^\d]/g, "");
  test("decimal strings keep every digit", () => {
    expect(digits(formatAmount("123456789012345678901234"))).toBe("123456789012345678901234");
    expect(digits(formatAmount("18000000000.000001"))).toBe("18000000000000001");
  });

  test("a column has as many decimals as its longest number", () => {
    const format = columnFormat([1, "2.5", 3.25]);
    expect([1, "2.5", 3.25].map((amount) => digits(format(amount)))).toEqual(["100", "250", "325"]);
  });

  test("ages are told in two units", () => {
    expect([12_000, 200_000, 7_500_000, 86_400_000 * 3 + 3_600_000 * 4, 60_000].map(formatAge)).toEqual([
      "12 s",
      "3 m 20 s",
      "2 h 5 m",
      "3 d 4 h",
      "1 m",
    ]);
  });

  test("a key that is empty is seen", () => {
    expect(formatKey(["", "a", "  "])).toBe('(empty) · a · "  "');
  });
});
