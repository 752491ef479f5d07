/** Timers that are set for longer fire at once. */
const TIMER_MS_MAX = 2 ** 31 - 1;

type Timer = ReturnType<typeof setTimeout> & { ref?(): void; unref?(): void };

/** One wait at a time, which can be cut short and keeps a Node process alive only while somebody asks for that. */
export class Sleeper {
  #timer: Timer | null = null;
  #wake = () => {};
  #holds: boolean;

  constructor(holds = false) {
    this.#holds = holds;
  }

  set holds(holds: boolean) {
    this.#holds = holds;
    this.#apply();
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = () => {
        if (this.#timer) clearTimeout(this.#timer);
        this.#timer = null;
        resolve();
      };
      this.#timer = setTimeout(() => this.#wake(), Math.min(Math.max(0, ms), TIMER_MS_MAX)) as Timer;
      this.#apply();
    });
  }

  wake(): void {
    this.#wake();
  }

  /** Browsers' timers are numbers, and keep nothing alive. */
  #apply(): void {
    if (this.#holds) this.#timer?.ref?.();
    else this.#timer?.unref?.();
  }
}
