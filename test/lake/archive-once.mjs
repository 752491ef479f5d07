import { randomUUID } from "node:crypto";
import { PartitionArchiver } from "../../dist/lake/archiver.js";
import { FolderStore } from "../../dist/lake/folder.js";
import { Metrics } from "../../dist/metrics.js";
import { Connections } from "../../dist/redis/client.js";
import { holdArchive } from "../../dist/redis/commands/lake.js";
import { partitionKeys } from "../../dist/redis/keys.js";
import { Scripts } from "../../dist/redis/scripts.js";

/**
 * Archives what is on the one partition's stream, and kills itself before the n-th operation, on the stream or in the lake;
 * ends in peace, and says how many there were, when there are fewer. Arguments: socket of Redis, folder of the lake, n.
 * JavaScript, on the built service: it is started dozens of times.
 */

const [path, folder, dieAt] = process.argv.slice(2);
let steps = 0;
function step() {
  if (++steps === Number(dieAt)) process.kill(process.pid, "SIGKILL");
}

class MortalStore extends FolderStore {
  async draft(bytes) {
    step();
    return super.draft(bytes);
  }
  async publish(draft, name) {
    step();
    return super.publish(draft, name);
  }
}

const connections = new Connections({ kind: "single", options: { path } }, () => {});
const client = new Proxy(await connections.open("prompt"), {
  get: (target, name) => {
    const value = Reflect.get(target, name);
    if (typeof value !== "function") return value;
    return (...args) => {
      step();
      return value.apply(target, args);
    };
  },
});
const [partition] = partitionKeys(1);
const [token, scripts] = [randomUUID(), new Scripts()];
const store = new MortalStore(folder);
const archiver = new PartitionArchiver({
  partition,
  token,
  client,
  scripts,
  store,
  metrics: new Metrics(),
  waitMs: 0,
});
await holdArchive(client, scripts, partition, token, 60_000);
while ((await archiver.round()) === "more");
step();
process.stdout.write(`${steps}`);
connections.closeAll();
