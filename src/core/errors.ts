/** The configuration cannot be used. `faults` holds every fault found, each naming its variable or field. */
export class ConfigurationError extends Error {
  override readonly name = "ConfigurationError";
  readonly faults: readonly string[];

  constructor(faults: readonly string[]) {
    super(faults.join("\n"));
    this.faults = faults;
  }
}

/** The service cannot start for a reason outside its configuration; the message is for the person at the terminal. */
export class StartupError extends Error {
  override readonly name = "StartupError";
}
