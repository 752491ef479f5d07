import { COLUMNS, type Poison, type ReceivedEvent } from "../core/packed.ts";
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
 * A payload's events, each as the text of a row; `null` where it is not of either form. Brackets and quotes are counted,
 * and no value is made: parsing may be what the workers die of, while this needs little memory and no stack.
 */
export function splitPayload(payload: string): string[] | null {
  if (!payload.startsWith(COLUMNS_BEGIN)) return splitArray(payload);
  const columns = payload.endsWith("}") ? splitArray(payload.slice(COLUMNS_BEGIN.length, -1)) : null;
  return columns?.length === COLUMNS ? rowsOf(columns) : null;
}

const COLUMNS_BEGIN = '{"columns":';

/** Columns as texts → rows as texts. A list in one that is no list at all is left to the reader of the row. */
function rowsOf(columns: readonly string[]): string[] | null {
  const split = columns.map((column) => (column.startsWith("[") ? splitArray(column) : column));
  const [fingerprints, ...others] = split;
  if (!Array.isArray(fingerprints) || split.includes(null)) return null;
  return fingerprints.map((fingerprint, i) => {
    const values = others.map((column) => (typeof column === "string" ? column : (column?.[i] ?? "null")));
    const [spread, id, source, type, base, time, subject, data] = values;
    const whole = time === "null" ? time : String(Number(base) + Number(time));
    return `[${[fingerprint, spread, id, source, type, whole, subject, data].join(",")}]`;
  });
}

function splitArray(text: string): string[] | null {
  if (!text.startsWith("[") || !text.endsWith("]")) return null;
  const texts: string[] = [];
  let depth = 0;
  let inString = false;
  let from = 1;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (inString) {
      if (code === BACKSLASH) at++;
      else if (code === QUOTE) inString = false;
    } else if (code === QUOTE) inString = true;
    else if (OPENING.has(code)) depth++;
    else if (CLOSING.has(code)) depth--;
    else if (code === COMMA && depth === 1) {
      texts.push(text.slice(from, at));
      from = at + 1;
    }
    if (depth === 0 && at < text.length - 1) return null;
  }
  if (depth !== 0 || inString) return null;
  const last = text.slice(from, -1);
  if (last !== "" || texts.length > 0) texts.push(last);
  return texts;
}
