import type { TopAnswer } from "../../client/index.ts";
import type { CliIo } from "../replay/io.ts";
import type { Target } from "../target.ts";
import { follow } from "./follow.ts";
import { Screen } from "./screen.ts";
import { keyText, numberText } from "./text.ts";

export interface TopOptions extends Target {
  readonly counter: string;
  readonly last: string;
  readonly limit: number;
  readonly by: "count" | "sum";
}

/**
 * Shows the largest keys, in place on a terminal. Elsewhere every update is a line for each key: watermark, rank, count,
 * sum where there is one, and the key, separated by tabs.
 */
export async function runTop({ counter, last, limit, by, ...target }: TopOptions, io: CliIo): Promise<void> {
  const query = { feed: "top", counter, last, limit, by } as const;
  const show = io.stdout.isTTY ? new TopScreen(query, io) : new TopLines(io);
  await follow(target, query, show, io);
}

class TopLines {
  readonly #io: CliIo;

  constructor(io: CliIo) {
    this.#io = io;
  }

  onData({ top, watermark }: TopAnswer): void {
    const lines = top.map(({ key, count, sum }, i) => {
      const numbers = sum === undefined ? [count] : [count, sum];
      return `${[watermark, i + 1, ...numbers, keyText(key)].join("\t")}\n`;
    });
    this.#io.stdout.write(lines.join(""));
  }

  onTrouble(trouble: string | null): void {
    if (trouble !== null) this.#io.stderr.write(`tallymark: ${trouble}\n`);
  }
}

type TopQuery = Pick<TopOptions, "counter" | "last" | "by">;

class TopScreen {
  readonly #query: TopQuery;
  readonly #screen: Screen;
  #answer: TopAnswer | null = null;
  #trouble: string | null = "connecting";
  #ranks = new Map<string, number>();

  constructor(query: TopQuery, { stdout }: CliIo) {
    this.#query = query;
    this.#screen = new Screen(stdout);
    this.#draw([]);
  }

  onData(answer: TopAnswer): void {
    const rows = rowsOf(answer, this.#ranks);
    this.#answer = answer;
    this.#ranks = new Map(answer.top.map(({ key }, i) => [JSON.stringify(key), i]));
    this.#draw(rows);
  }

  onTrouble(trouble: string | null): void {
    this.#trouble = trouble;
    this.#draw(this.#answer ? rowsOf(this.#answer, this.#ranks) : []);
  }

  #draw(rows: readonly string[]): void {
    const { counter, last, by } = this.#query;
    const head = `${counter}, last ${last}, by ${by}`;
    this.#screen.draw([
      `${head} · ${this.#trouble ?? `to ${this.#answer?.watermark ?? "now: no events yet"}`}`,
      ...rows,
    ]);
  }
}

/** Columns as wide as they need to be; in front, where a key has moved since the last update. */
function rowsOf({ top }: TopAnswer, ranks: ReadonlyMap<string, number>): string[] {
  const counts = top.map(({ count }) => numberText(count));
  const sums = top.map(({ sum }) => numberText(sum));
  const width = (texts: readonly string[]) => Math.max(0, ...texts.map((text) => text.length));
  const [countWidth, sumWidth, rankWidth] = [width(counts), width(sums), String(top.length).length];
  return top.map(({ key }, i) => {
    const sum = sumWidth > 0 ? `  ${sums[i]?.padStart(sumWidth)}` : "";
    const rank = String(i + 1).padStart(rankWidth);
    return `${movement(ranks.get(JSON.stringify(key)), i, ranks.size)} ${rank}  ${counts[i]?.padStart(countWidth)}${sum}  ${keyText(key)}`;
  });
}

function movement(before: number | undefined, now: number, known: number): string {
  if (known === 0 || before === now) return " ";
  if (before === undefined) return "+";
  return before > now ? "↑" : "↓";
}
