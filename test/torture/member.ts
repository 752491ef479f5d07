import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";

/** Before a process that ended is started again, ms. */
const RESTART_MS = 200;
const READY = /^Tallymark is ready at (http:\/\/\S+)$/m;
/** pino's levels 50 and 60: error and fatal, among them every alarm. */
const SERIOUS = /"level":(50|60)/;
const LOG_LINES_MAX = 200;

/**
 * One process of the service and its supervisor, which starts it again whenever it ends. Modes: starting → ready →
 * ended → starting …, and `over` in the end.
 */
export class Member {
  readonly name: string;
  readonly roles: string;
  readonly failures: string[] = [];
  /** Starts that gave up because Redis could not be reached: the supervisor's business, and no failure. */
  failedStarts = 0;
  starts = 0;
  readonly log: string[] = [];
  readonly #args: readonly string[];
  readonly #env: NodeJS.ProcessEnv;
  #child: ChildProcess | null = null;
  #mode: "starting" | "ready" | "ended" | "over" = "ended";
  #url: string | null = null;
  #killed = false;

  constructor(name: string, roles: string, args: readonly string[], env: NodeJS.ProcessEnv) {
    this.name = name;
    this.roles = roles;
    this.#args = args;
    this.#env = env;
  }

  /** `null` while the process is not ready. */
  get url(): string | null {
    return this.#mode === "ready" ? this.#url : null;
  }

  start(): void {
    this.#mode = "starting";
    this.#killed = false;
    this.starts++;
    const child = spawn(process.execPath, this.#args, { env: this.#env, stdio: ["ignore", "pipe", "pipe"] });
    this.#child = child;
    let out = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      out += text;
      const url = READY.exec(out)?.[1];
      if (!url || this.#mode !== "starting") return;
      this.#url = url;
      this.#mode = "ready";
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => this.#read(text));
    child.on("exit", (code, signal) => this.#ended(code, signal));
  }

  kill(): void {
    this.#killed = true;
    this.#child?.kill("SIGKILL");
  }

  signal(signal: "SIGSTOP" | "SIGCONT"): void {
    this.#child?.kill(signal);
  }

  async end(): Promise<void> {
    const wasRunning = this.#mode === "starting" || this.#mode === "ready";
    this.#mode = "over";
    const child = this.#child;
    if (!child || !wasRunning) return;
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
  }

  #read(text: string): void {
    for (const line of text.split("\n")) {
      if (line === "") continue;
      this.log.push(line);
      if (this.log.length > LOG_LINES_MAX) this.log.shift();
      if (SERIOUS.test(line)) this.failures.push(`${this.name} logged ${line.slice(0, 500)}`);
    }
  }

  #ended(code: number | null, signal: string | null): void {
    if (this.#mode === "over") return;
    if (!this.#killed && this.#mode === "starting") this.failedStarts++;
    else if (!this.#killed) {
      this.failures.push(`${this.name} ended by itself with ${code ?? signal}: ${this.log.slice(-3).join(" | ")}`);
    }
    this.#mode = "ended";
    setTimeout(() => this.#mode === "ended" && this.start(), RESTART_MS);
  }
}
