import type { Address } from "./probe.ts";

export const SOCKET_NAME = "redis.sock";
export const LOG_NAME = "redis.log";

/** The server's arguments. Whatever is not said here has Redis's own default. */
export function serverArguments(address: Address, durability: "everysec" | "always"): string[] {
  const settings: Record<string, string> = {
    ...("path" in address
      ? { port: "0", unixsocket: SOCKET_NAME, unixsocketperm: "700" }
      : { port: String(address.port), bind: address.host, "protected-mode": "yes" }),
    daemonize: "no",
    databases: "1",
    loglevel: "notice",
    logfile: LOG_NAME,
    appendonly: "yes",
    appendfsync: durability,
    "no-appendfsync-on-rewrite": "no",
    "auto-aof-rewrite-min-size": "64mb",
    // The last command may be cut short by a power loss; it was then never confirmed.
    "aof-load-truncated": "yes",
    save: "",
    // Compressing is half of what a rewrite of the append-only file costs, for 6 % less on disk.
    rdbcompression: "no",
    // A counter that was evicted would be a wrong count; a full memory must refuse writes instead.
    "maxmemory-policy": "noeviction",
    // The dedupe sets and the cells are laid out to stay below these, in the compact encodings.
    "set-max-intset-entries": "4096",
    "hash-max-listpack-entries": "128",
  };
  return Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]);
}
