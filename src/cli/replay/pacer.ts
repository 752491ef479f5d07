import type { Clock } from "./io.ts";

/** Says when an event is due: at N times the speed at which the events happened, or at once. */
export class Pacer {
  readonly #clock: Clock;
  readonly #speed: number | null;
  /** The moment at which an event of that time is due. */
  #origin: { readonly moment: number; readonly time: number } | null = null;
  #fresh = true;

  /** @param speed `null`: as fast as it goes */
  constructor(clock: Clock, speed: number | null) {
    this.#clock = clock;
    this.#speed = speed;
  }

  /** The next event is the first of a file, which may go back in time: files can be shards of one period. */
  startFile(): void {
    this.#fresh = true;
  }

  /** Wall time at which the event may be sent. One without a time goes with the event before it. */
  dueAt(time: number | null): number {
    const now = this.#clock.now();
    if (this.#speed === null || time === null) return now;
    let due = this.#origin ? this.#origin.moment + (time - this.#origin.time) / this.#speed : now;
    if (this.#origin === null || (this.#fresh && due < now)) {
      this.#origin = { moment: now, time };
      due = now;
    }
    this.#fresh = false;
    return due;
  }
}
