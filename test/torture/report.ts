import { differencesOf, type Result } from "./run.ts";

/** Differences that are named; the rest is only counted. */
const NAMED_MAX = 20;

/** Faults, traffic and invariants of a run, and its first differences. */
export function describe(result: Result): string {
  const { plan, aftermath, findings, seconds } = result;
  const { conductor, ledger, side, fleet, late } = aftermath;
  const failedStarts = fleet.members.reduce((sum, member) => sum + member.failedStarts, 0);
  const starts = fleet.members.reduce((sum, member) => sum + member.starts, 0);
  const { counts } = ledger;
  const traffic: [string, number][] = [
    ["events sent", counts.events],
    ["distinct accepted", ledger.accepted.size],
    ["copies in a request", counts.duplicates],
    ["sent again later", counts.resends],
    ["to be rejected", counts.bad],
    ["requests", counts.requests],
    ["attempts", counts.attempts],
    ["answered 503", counts.answered503],
    ["unanswered", counts.unknown],
    ["answered when applied", counts.waited],
    ["in late ledgers", [...late.values()].reduce((sum, entries) => sum + entries.length, 0)],
    ["readmitted", side.counts.readmitted],
    ["poison", side.counts.poison],
    ["dead letters retried", side.counts.retried],
    ["webhooks received", aftermath.alarms?.receiver.messages.length ?? 0],
    ["starts of processes", starts],
    ["of them given up", failedStarts],
  ];
  const differences = differencesOf(result);
  return [
    `seed ${plan.seed}: ${seconds.toFixed(0)} s`,
    table(
      ["fault", "happened"],
      [...conductor.happened].sort(([a], [b]) => (a < b ? -1 : 1)),
    ),
    table(["traffic", ""], traffic),
    table(
      ["invariant", "compared", "differences"],
      findings.map(({ name, compared, differences }) => [name, compared, differences.length]),
    ),
    ...differences.slice(0, NAMED_MAX).map((difference) => `  ${difference}`),
    ...(differences.length > 0 ? [`${differences.length} DIFFERENCES with seed ${plan.seed}`] : ["no differences"]),
  ].join("\n");
}

function table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const cells = [head, ...rows].map((row) => row.map(String));
  const widths = head.map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]) =>
    row.map((text, i) => (i === 0 ? text.padEnd(widths[i] as number) : text.padStart(widths[i] as number))).join("  ");
  return `${cells.map(line).join("\n")}\n`;
}
