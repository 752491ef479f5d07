import { type Aftermath, Finding } from "./invariant.ts";

interface DeadLetter {
  readonly event: unknown;
}

/** Dead letters are the poison that was put on the streams, each once, and nothing else. */
export async function deadLettersArePoison({ reader, side }: Aftermath): Promise<Finding[]> {
  const finding = new Finding("dead letters = poison");
  const found = new Map<string, number>();
  for (const { event } of await reader.list<DeadLetter>("/v1/dead-letters?", "deadLetters")) {
    const text = JSON.stringify(event);
    const mark = /poison-\d+/.exec(text)?.[0] ?? text;
    found.set(mark, (found.get(mark) ?? 0) + 1);
  }
  const { certain, possible } = side.poison;
  for (const [mark, times] of found) {
    finding.holds(possible.has(mark), () => `${mark} is a dead letter, but no poison`);
    finding.same(`dead letters of ${mark}`, times, 1);
  }
  for (const mark of certain) finding.holds(found.has(mark), () => `${mark} is no dead letter`);
  return [finding];
}
