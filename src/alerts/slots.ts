/** Bounds what runs at the same time for each name. */
export class Slots {
  readonly #perName: number;
  readonly #taken = new Map<string, number>();

  constructor(perName: number) {
    this.#perName = perName;
  }

  /** `false` when all are taken. */
  take(name: string): boolean {
    const taken = this.#taken.get(name) ?? 0;
    if (taken >= this.#perName) return false;
    this.#taken.set(name, taken + 1);
    return true;
  }

  give(name: string): void {
    const taken = (this.#taken.get(name) ?? 0) - 1;
    if (taken > 0) this.#taken.set(name, taken);
    else this.#taken.delete(name);
  }
}
