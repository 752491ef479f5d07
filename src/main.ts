#!/usr/bin/env node
import { Command } from "commander";
import { demoCommand } from "./cli/demo/command.ts";
import { exportCommand } from "./cli/export/command.ts";
import { keysCommand } from "./cli/keys/command.ts";
import { tailCommand, topCommand } from "./cli/live/command.ts";
import { rebuildCommand } from "./cli/rebuild/command.ts";
import { replayCommand } from "./cli/replay/command.ts";
import { serveCommand } from "./cli/serve.ts";
import { verifyCommand } from "./cli/verify/command.ts";
import { version } from "./version.ts";

const program = new Command("tallymark")
  .description("Exact real-time counters on Redis")
  .version(version)
  .addCommand(serveCommand(), { isDefault: true })
  .addCommand(replayCommand())
  .addCommand(verifyCommand())
  .addCommand(exportCommand())
  .addCommand(rebuildCommand())
  .addCommand(topCommand())
  .addCommand(tailCommand())
  .addCommand(demoCommand())
  .addCommand(keysCommand());

await program.parseAsync();
