/** An event on its way. */
export interface Entry {
  /** The event's JSON, as every try sends it. */
  readonly text: string;
  readonly bytes: number;
  /** Rises by one with every event. */
  readonly number: number;
  /** Epoch ms. */
  readonly addedAt: number;
  /** When it was sent first, epoch ms: the service may have it since. `null`: never. */
  triedAt: number | null;
  /** The service has it, or it was dropped. */
  settled: boolean;
}

export interface QueueLimits {
  readonly events: number;
  readonly bytes: number;
}

const encoder = new TextEncoder();

/** Events that are neither acknowledged nor dropped, oldest first: those taken for the request in flight, then the others. */
export class EventQueue {
  readonly #limits: QueueLimits;
  #entries: Entry[] = [];
  /** Everything before it is settled. */
  #first = 0;
  /** Everything before it was taken. */
  #next = 0;
  #number = 0;
  #events = 0;
  #bytes = 0;
  #waitingBytes = 0;
  readonly #waiters = new Set<{ left: number; readonly upTo: number; readonly resolve: () => void }>();

  constructor(limits: QueueLimits) {
    this.#limits = limits;
  }

  get events(): number {
    return this.#events;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Not taken yet. */
  get waiting(): number {
    return this.#entries.length - this.#next;
  }

  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  /** When the oldest that waits was added, epoch ms. */
  get waitingSince(): number {
    return this.#entries[this.#next]?.addedAt ?? Number.POSITIVE_INFINITY;
  }

  /** @returns false when the queue is full */
  add(text: string, now: number): boolean {
    const bytes = encoder.encode(text).length + 1;
    if (this.#events >= this.#limits.events || this.#bytes + bytes > this.#limits.bytes) return false;
    this.#entries.push({ text, bytes, number: ++this.#number, addedAt: now, triedAt: null, settled: false });
    this.#events++;
    this.#bytes += bytes;
    this.#waitingBytes += bytes;
    return true;
  }

  /** Takes the oldest that wait: at least one, further ones as far as they fit. */
  take({ events, bytes }: QueueLimits): Entry[] {
    const batch: Entry[] = [];
    let size = 0;
    while (batch.length < events) {
      const entry = this.#entries[this.#next];
      if (!entry || (batch.length > 0 && size + entry.bytes > bytes)) break;
      this.#next++;
      this.#waitingBytes -= entry.bytes;
      if (entry.settled) continue;
      batch.push(entry);
      size += entry.bytes;
    }
    return batch;
  }

  /** The oldest, taken or not, as far as they fit. */
  peek(bytes: number): Entry[] {
    const found: Entry[] = [];
    let size = 0;
    for (let i = this.#first; i < this.#entries.length; i++) {
      const entry = this.#entries[i] as Entry;
      if (entry.settled) continue;
      size += entry.bytes;
      if (size > bytes) break;
      found.push(entry);
    }
    return found;
  }

  /** @returns false when it was settled before */
  settle(entry: Entry): boolean {
    if (entry.settled) return false;
    entry.settled = true;
    this.#events--;
    this.#bytes -= entry.bytes;
    for (const waiter of this.#waiters) {
      if (entry.number > waiter.upTo || --waiter.left > 0) continue;
      this.#waiters.delete(waiter);
      waiter.resolve();
    }
    this.#forget();
    return true;
  }

  /** Resolves once everything that is in the queue now is settled. */
  whenSettled(): Promise<void> {
    if (this.#events === 0) return Promise.resolve();
    return new Promise((resolve) => this.#waiters.add({ left: this.#events, upTo: this.#number, resolve }));
  }

  /** Lets go of settled entries, rarely enough that an entry is moved once on average. */
  #forget(): void {
    while (this.#entries[this.#first]?.settled && this.#first < this.#next) this.#first++;
    if (this.#first < 1_024 || this.#first * 2 < this.#entries.length) return;
    this.#entries = this.#entries.slice(this.#first);
    this.#next -= this.#first;
    this.#first = 0;
  }
}
