import type { ClusterNode, TestCluster } from "../support/cluster.ts";

const MIGRATE_TIMEOUT_MS = 5_000;
const KEYS_MAX = 1_000_000;

/** A slot on its way from one primary to another, as redis-cli moves it, but as many keys at a time as a test wants. */
export class SlotMove {
  readonly source: ClusterNode;
  readonly target: ClusterNode;
  readonly #cluster: TestCluster;
  readonly #slot: number;

  private constructor(cluster: TestCluster, slot: number, source: ClusterNode, target: ClusterNode) {
    this.#cluster = cluster;
    this.#slot = slot;
    this.source = source;
    this.target = target;
  }

  /** From here on the source sends whoever asks for a key that it does not hold to the target. */
  static async begin(cluster: TestCluster, key: string): Promise<SlotMove> {
    const slot = await (cluster.nodes[0] as ClusterNode).client.cluster("KEYSLOT", key);
    const source = await ownerOf(cluster, slot);
    const target = cluster.nodes.find((node) => node !== source) as ClusterNode;
    await target.client.cluster("SETSLOT", slot, "IMPORTING", await idOf(source));
    await source.client.cluster("SETSLOT", slot, "MIGRATING", await idOf(target));
    return new SlotMove(cluster, slot, source, target);
  }

  /** Names of the keys that the source still holds. */
  async left(): Promise<string[]> {
    return (await this.source.client.cluster("GETKEYSINSLOT", this.#slot, KEYS_MAX)) as string[];
  }

  async carry(keys: readonly string[]): Promise<void> {
    if (keys.length === 0) return;
    const { client } = this.source;
    await client.migrate("127.0.0.1", this.target.port, "", 0, MIGRATE_TIMEOUT_MS, "KEYS", ...keys);
  }

  /** Carries what is left, new keys included, and gives the slot to the target. */
  async finish(): Promise<void> {
    for (let keys = await this.left(); keys.length > 0; keys = await this.left()) await this.carry(keys);
    const id = await idOf(this.target);
    const others = this.#cluster.nodes.filter((node) => node !== this.target && node !== this.source);
    // The target first: were the source first, nobody would hold the slot in between.
    for (const { client } of [this.target, this.source, ...others]) {
      await client.cluster("SETSLOT", this.#slot, "NODE", id);
    }
  }
}

/** How often a node has answered with an error of this kind, for instance `ASK`. */
export async function errorsOf({ client }: ClusterNode, kind: string): Promise<number> {
  const found = new RegExp(`^errorstat_${kind}:count=(\\d+)`, "m").exec(await client.info("errorstats"));
  return Number(found?.[1] ?? 0);
}

async function idOf({ client }: ClusterNode): Promise<string> {
  return (await client.cluster("MYID")) as string;
}

async function ownerOf({ nodes }: TestCluster, slot: number): Promise<ClusterNode> {
  const ranges = await (nodes[0] as ClusterNode).client.cluster("SLOTS");
  const [, , primary] = ranges.find(([from, to]) => slot >= from && slot <= to) ?? [];
  return nodes.find(({ port }) => port === primary?.[1]) as ClusterNode;
}
