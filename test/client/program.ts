import { Tallymark } from "../../src/client/index.ts";

/**
 * What a user's program may look like; run as a process of its own.
 *
 * Arguments: the service's address, how many events, and a first id: they are `<first>-0`, `<first>-1`, …. Without
 * `stay` the program ends by having nothing left to do. Prints what happened, a line of JSON each.
 */
const [url = "", count = "0", first = "", stay] = process.argv.slice(2);
const say = (line: object) => process.stdout.write(`${JSON.stringify(line)}\n`);

const client = new Tallymark({
  url,
  batchEvents: 100,
  onDrop: ({ reason, events }) => say({ reason, n: events.length }),
});
for (let n = 0; n < Number(count); n++) client.track({ id: `${first}-${n}`, type: "program", data: { n } });
say({ tracked: Number(count) });
if (stay === "stay") setInterval(() => say(client.stats), 20);
