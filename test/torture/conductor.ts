import { setTimeout as delay } from "node:timers/promises";
import type { Random } from "../../load/random.ts";
import { FAULTS, type FaultName, type World } from "./faults.ts";
import type { Member } from "./member.ts";

export interface Schedule {
  readonly kinds: readonly FaultName[];
  /** From the start of one fault to the start of the next, ms. */
  readonly gapMs: readonly [from: number, to: number];
}

/** Lets faults happen, in an order that the seed decides: every kind once before any comes again. */
export class Conductor {
  readonly happened = new Map<FaultName, number>();
  readonly #world: World;
  readonly #schedule: Schedule;
  readonly #say: (text: string) => void;
  /** What each target is busy with. */
  readonly #busy = new Map<string, Promise<void>>();
  #deck: FaultName[] = [];

  constructor(world: World, schedule: Schedule, say: (text: string) => void) {
    this.#world = world;
    this.#schedule = schedule;
    this.#say = say;
  }

  get total(): number {
    return [...this.happened.values()].reduce((sum, n) => sum + n, 0);
  }

  /** Until `isOver`; resolves when every fault has healed. */
  async run(isOver: () => boolean): Promise<void> {
    const [from, to] = this.#schedule.gapMs;
    for (;;) {
      await delay(from + this.#world.random.below(to - from));
      if (isOver()) break;
      await this.#start(this.#draw());
    }
    await Promise.all(this.#busy.values());
  }

  #draw(): FaultName {
    if (this.#deck.length === 0) this.#deck = shuffle(this.#schedule.kinds, this.#world.random);
    return this.#deck.pop() as FaultName;
  }

  async #start(name: FaultName): Promise<void> {
    const { target, run } = FAULTS[name];
    const member = this.#victim(target);
    const victim = member?.name ?? target;
    await this.#busy.get(victim);
    this.happened.set(name, (this.happened.get(name) ?? 0) + 1);
    this.#say(`${name} (${victim})`);
    const fault = run(this.#world, member as Member).catch((error: Error) => {
      this.#world.violations.push(`the fault "${name}" failed: ${error.stack}`);
    });
    this.#busy.set(victim, fault);
  }

  #victim(role: string): Member | undefined {
    const members = this.#world.fleet.withRole(role);
    return members[this.#world.random.below(Math.max(1, members.length))];
  }
}

function shuffle<T>(items: readonly T[], random: Random): T[] {
  const deck = [...items];
  for (let i = deck.length - 1; i > 0; i--) {
    const j = random.below(i + 1);
    [deck[i], deck[j]] = [deck[j] as T, deck[i] as T];
  }
  return deck;
}
