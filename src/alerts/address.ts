import dns from "node:dns";
import { isIP, type LookupFunction } from "node:net";
import ipaddr from "ipaddr.js";

/**
 * What is wrong with the URL of a webhook, or `null`. An address that stands in it is judged here, so that whoever
 * writes it is told at once; names are judged by the address they lead to, when it is connected to.
 */
export function urlFault(text: string, allowPrivate: boolean): string | null {
  if (!URL.canParse(text)) return "must be a URL";
  const { protocol, username, password, hostname } = new URL(text);
  if (protocol !== "http:" && protocol !== "https:") return "must begin with http:// or https://";
  if (username || password) return "must hold no user name and no password";
  // The URL parser has made decimal, octal and hex forms plain.
  const host = hostname.replace(/^\[|\]$/g, "");
  const isRefused = isIP(host) === 0 ? host === "localhost" : !isPublic(host);
  return isRefused && !allowPrivate ? PRIVATE : null;
}

export const PRIVATE = "must not be a private, loopback or otherwise special address";

/** All that is assigned of IPv6 for the public; outside it are, among others, `::a.b.c.d` forms of IPv4 addresses. */
const GLOBAL_IPV6 = ipaddr.parseCIDR("2000::/3") as [ipaddr.IPv6, number];

function isPublic(address: string): boolean {
  const parsed = ipaddr.parse(address);
  return parsed.range() === "unicast" && (parsed instanceof ipaddr.IPv4 || parsed.match(GLOBAL_IPV6));
}

/** A lookup that fails where any address of the name is not on the public internet. */
export function publicLookup(lookup: LookupFunction = dns.lookup as LookupFunction): LookupFunction {
  return (host, options, done) =>
    lookup(host, options, (error, found, family) => {
      const addresses = error ? [] : Array.isArray(found) ? found.map(({ address }) => address) : [found];
      if (addresses.every(isPublic)) done(error, found, family);
      else done(new Error(PRIVATE), found, family);
    });
}
