import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { type Browser, chromium } from "playwright-core";

/** A Chromium of this machine: `CHROMIUM`, else where distributions put it; `null` when there is none. */
export const chromiumPath = findChromium();

/** Why tests with a browser do not run here; for the name of a suite. */
export const browserNote = chromiumPath ? "" : " (skipped: no Chromium found; install one or set CHROMIUM)";

function findChromium(): string | null {
  const names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
  const directories = (process.env.PATH ?? "").split(delimiter);
  const candidates = directories.flatMap((directory) => names.map((name) => join(directory, name)));
  const found = [process.env.CHROMIUM ?? "", "/usr/bin/chromium", ...candidates].find(
    (path) => path && existsSync(path),
  );
  if (!found && process.env.TALLYMARK_REQUIRE_CHROMIUM) throw new Error("no Chromium found on this machine");
  return found ?? null;
}

export function launchChromium(): Promise<Browser> {
  return chromium.launch({ executablePath: chromiumPath as string, args: ["--no-sandbox", "--disable-gpu"] });
}
