import { until } from "../wait.ts";
import { type Aftermath, Finding } from "./invariant.ts";

/** A viewer must show what a lookup answers after so long, ms. */
const EQUAL_MAX_MS = 5_000;
/** What the feeds of one process may hold back for viewers that do not read, bytes; each of the frozen ones 1 MiB. */
const BUFFERED_MAX = 2 * 1024 * 1024;

/** Event time goes on while the two are asked; the numbers stand still. */
const withoutTime = (answer: unknown) =>
  JSON.stringify(answer, (name, value) => (["watermark", "final", "every"].includes(name) ? undefined : value));

/** Every viewer that reads sees what a lookup answers, and those that do not cost little. */
export async function viewersAgree({ viewers, reader, fleet }: Aftermath): Promise<Finding[]> {
  if (!viewers) return [];
  const finding = new Finding("viewers = lookups, buffers bounded");
  const reading = viewers.all.filter(({ isFrozen }) => !isFrozen);
  const differing = async () => {
    const answers = await reader.queryAll(reading.map(({ query }) => query));
    return reading.filter(({ newest }, i) => withoutTime(newest) !== withoutTime(answers[i]));
  };
  let left = reading;
  await until(async () => {
    left = await differing();
    return left.length === 0;
  }, EQUAL_MAX_MS);
  for (const viewer of reading)
    finding.holds(!left.includes(viewer), () => `a viewer of ${JSON.stringify(viewer.query)}`);
  for (const { url, name } of fleet.withRole("live")) {
    const text = await (await fetch(`${url}/metrics`)).text();
    const buffered = Number(/^tallymark_live_buffered_bytes (\S+)$/m.exec(text)?.[1]);
    finding.holds(buffered < BUFFERED_MAX, () => `${name} holds ${buffered} bytes for viewers`);
  }
  return [finding];
}
