import { spawnSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { startTestApp } from "../support/app.ts";

/** `npm run lint:openapi`: Redocly's rules over the document as the service serves it. */

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

const directory = await mkdtemp(join(tmpdir(), "tallymark-openapi-"));
const file = join(directory, "openapi.json");
const app = await startTestApp(null);
try {
  const { body } = await app.call("GET", "/openapi.json");
  await writeFile(file, JSON.stringify(body, null, 2));
} finally {
  await app.stop();
}
const { status } = spawnSync(join(ROOT, "node_modules/.bin/redocly"), ["lint", file, "--config", "redocly.yaml"], {
  cwd: ROOT,
  stdio: "inherit",
  env: { ...process.env, REDOCLY_TELEMETRY: "off", REDOCLY_SUPPRESS_UPDATE_NOTICE: "true" },
});
await rm(directory, { recursive: true });
process.exitCode = status ?? 1;
