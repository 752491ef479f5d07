import type { BigNumber } from "../../client/index.ts";

/** Keys come from outside: what would steer the terminal is shown as its escape. */
export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not reach the terminal
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}

/** The values of a key's fields as one text. */
export function keyText(key: readonly string[] | null): string {
  if (key === null) return "(total)";
  return key.map((value) => (value === "" ? '""' : printable(value))).join(" ");
}

export function numberText(value: BigNumber | undefined): string {
  return value === undefined ? "" : String(value);
}

/** At most `width` characters, the last of them an ellipsis where something was cut off. */
export function cutTo(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, Math.max(0, width - 1))}…`;
}
