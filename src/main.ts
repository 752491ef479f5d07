#!/usr/bin/env node
import { Command } from "commander";
import { serveCommand } from "./cli/serve.ts";
import { version } from "./version.ts";

const program = new Command("tallymark")
  .description("Exact real-time counters on Redis")
  .version(version)
  .addCommand(serveCommand(), { isDefault: true });

await program.parseAsync();
