import { Command } from "commander";
import { startApp } from "../app.ts";
import { loadConfig } from "../config.ts";
import { ConfigurationError, StartupError } from "../core/errors.ts";
import { createLogger } from "../log.ts";

/** sysexits.h EX_CONFIG. */
const EXIT_CONFIGURATION = 78;

interface ServeOptions {
  readonly config?: string;
  readonly roles?: string;
  readonly insecure?: boolean;
}

export function serveCommand(): Command {
  return new Command("serve")
    .description("run the service")
    .option("--config <file>", "configuration file (default: tallymark.config.json where there is one)")
    .option(
      "--roles <roles>",
      "comma-separated among api, worker, live, jobs, archive (default: all; archive with TALLYMARK_ARCHIVE)",
    )
    .option("--insecure", "listen beyond loopback without an API key")
    .action(serve);
}

async function serve({ config: file, roles, insecure }: ServeOptions): Promise<void> {
  try {
    const config = loadConfig({ env: process.env, file, roles, insecure });
    const log = createLogger(config.logLevel);
    let stop = async (_code: number) => {};
    const app = await startApp(config, log, (reason) => {
      log.fatal(reason);
      void stop(1);
    });
    stop = async (code) => {
      await app.stop();
      process.exit(code);
    };
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      process.on(signal, () => {
        log.info({ signal }, "stopping");
        void stop(0);
      });
    }
    process.stdout.write(`Tallymark is ready at ${app.url}\n`);
  } catch (error) {
    process.exit(reportStartFailure(error));
  }
}

/** Says what is wrong in words; anything unforeseen keeps its stack. @returns the exit code */
export function reportStartFailure(error: unknown): number {
  if (error instanceof ConfigurationError) {
    process.stderr.write(
      `Tallymark cannot start with this configuration:\n${error.faults.map((f) => `  - ${f}\n`).join("")}`,
    );
    return EXIT_CONFIGURATION;
  }
  if (error instanceof StartupError) process.stderr.write(`${error.message}\n`);
  else process.stderr.write(`Tallymark cannot start: ${error instanceof Error ? error.stack : error}\n`);
  return 1;
}
