import type { Poison, ReceivedEvent } from "../core/packed.ts";
import type { Suspect } from "../redis/commands/take-over.ts";

/**
 * An entry whose application ends its worker's process (the memory runs out, say) would end every successor's as well.
 * What tells is that owners in turn began with the same oldest pending entry, and none of them got past it.
 */

/** From so many owners on, pending entries are applied one at a time, so that the culprit becomes the oldest. */
export const ONE_BY_ONE_FROM = 3;
/** From so many owners on, the oldest entry is given up: its events become dead letters. */
export const GIVE_UP_FROM = 6;
/** From so many owners on, it is not even taken apart: its whole payload becomes one dead letter. */
export const GIVE_UP_WHOLE_FROM = 9;

export function appliesOneByOne(suspect: Suspect | null): boolean {
  return suspect !== null && suspect.owners >= ONE_BY_ONE_FROM;
}

/** The events of an entry that is given up, each a dead letter; `null` for an entry that is not. */
export function giveUp(suspect: Suspect | null, entry: string, payload: string): (ReceivedEvent | Poison)[] | null {
  if (suspect === null || suspect.entry !== entry || suspect.owners < GIVE_UP_FROM) return null;
  const fault = `its worker ended ${suspect.owners - 1} times while applying it`;
  const events = suspect.owners < GIVE_UP_WHOLE_FROM ? splitPayload(payload) : null;
  return events?.map((event) => ({ fault, payload: `[${event}]` })) ?? [{ fault, payload }];
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const OPENING = new Set([0x5b, 0x7b]);
const CLOSING = new Set([0x5d, 0x7d]);

/**
 * The texts of a payload's events, `null` where it is not of that form. Brackets and quotes are counted, and no value
 * is made: parsing may be what the workers die of, while this needs no memory to speak of and no stack.
 */
export function splitPayload(payload: string): string[] | null {
  if (!payload.startsWith("[") || !payload.endsWith("]")) return null;
  const texts: string[] = [];
  let depth = 0;
  let inString = false;
  let from = 1;
  for (let at = 0; at < payload.length; at++) {
    const code = payload.charCodeAt(at);
    if (inString) {
      if (code === BACKSLASH) at++;
      else if (code === QUOTE) inString = false;
    } else if (code === QUOTE) inString = true;
    else if (OPENING.has(code)) depth++;
    else if (CLOSING.has(code)) depth--;
    else if (code === COMMA && depth === 1) {
      texts.push(payload.slice(from, at));
      from = at + 1;
    }
    if (depth === 0 && at < payload.length - 1) return null;
  }
  if (depth !== 0 || inString) return null;
  const last = payload.slice(from, -1);
  if (last !== "" || texts.length > 0) texts.push(last);
  return texts;
}
