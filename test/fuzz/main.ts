import { Command } from "commander";
import { removeTemporaryDirectories } from "../support/service.ts";
import { runFuzz } from "./fuzz.ts";

/** `npm run fuzz -- --minutes 10 --seed 1`: prints what was wrong and one line of figures; exits 1 on any fault. */

const options = new Command("fuzz")
  .option("--minutes <n>", "how long", Number, 10)
  .option("--seed <n>", "makes the same requests again", Number, 1)
  .parse()
  .opts<{ minutes: number; seed: number }>();

const { faults, ...figures } = await runFuzz({ seed: options.seed, ms: options.minutes * 60_000 });
await removeTemporaryDirectories();
for (const fault of faults) console.log(fault);
console.log(JSON.stringify({ ...figures, faults: faults.length }));
process.exitCode = faults.length > 0 ? 1 : 0;
