import { readFileSync } from "node:fs";
import { parse } from "yaml";

/** What docker-compose.yml says, with its anchors merged. */
export interface ComposeFile {
  readonly services: Readonly<Record<string, ComposeService>>;
  readonly volumes: Readonly<Record<string, unknown>>;
}

export interface ComposeService {
  readonly image: string;
  readonly build?: string;
  readonly command?: string | readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly profiles?: readonly string[];
  readonly ports?: readonly string[];
  readonly volumes?: readonly string[];
  readonly depends_on?: Readonly<Record<string, unknown>> | readonly string[];
  readonly healthcheck?: { readonly test: readonly string[] };
  readonly networks?: { readonly default: { readonly ipv4_address: string } };
  readonly mem_limit?: string;
}

export const readProjectFile = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");

/** With `${NAME:-default}` as it is where no NAME is set. */
export function readCompose(): ComposeFile {
  const text = readProjectFile("docker-compose.yml").replaceAll(/\$\{\w+:-([^}]*)\}/g, "$1");
  return parse(text, { merge: true });
}

/** The services that run Tallymark: name, what they are told to run, and their environment. */
export function tallymarkServices({ services }: ComposeFile) {
  return Object.entries(services)
    .filter(([, { build }]) => build !== undefined)
    .map(([name, service]) => ({
      name,
      args: (service.command as string).split(" "),
      env: service.environment as Readonly<Record<string, string>>,
    }));
}
