/**
 * A key is the ordered values of a counter's `by` fields. Its text joins them so that (1) no two keys share a text and
 * (2) the byte order of texts is the order of keys, field by field in code points: the separator is the smallest byte,
 * and U+0000 and U+0001 inside a value are escaped to pairs that sort as they do.
 */

const SEPARATOR = "\u0000";

/** Values → key text, well-formed Unicode (a lone surrogate has no UTF-8 and becomes U+FFFD). */
export function encodeKey(values: readonly string[]): string {
  return values.map(encodeKeyPart).join(SEPARATOR);
}

/** Key text → values; `fields` is the number of `by` fields. */
export function decodeKey(text: string, fields: number): string[] {
  return fields === 0 ? [] : text.split(SEPARATOR).map(unescapePart);
}

/** The text of a key of one value; also what every key begins with whose first value begins with this one. */
export function encodeKeyPart(value: string): string {
  const text = value.isWellFormed() ? value : value.toWellFormed();
  if (!text.includes("\u0000") && !text.includes("\u0001")) return text;
  return text.replaceAll("\u0001", "\u0001\u0002").replaceAll("\u0000", "\u0001\u0001");
}

function unescapePart(text: string): string {
  return text.includes("\u0001")
    ? text.replaceAll("\u0001\u0001", "\u0000").replaceAll("\u0001\u0002", "\u0001")
    : text;
}

/** Compares by code points (JavaScript's `<` compares UTF-16 units, which differs beyond the BMP). */
export function compareCodePoints(a: string, b: string): number {
  const n = Math.min(a.length, b.length);
  for (let i = 0; i < n; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x !== y) return fixup(x) - fixup(y);
  }
  return a.length - b.length;
}

/** Orders a UTF-16 unit as its code point would be: surrogates stand for code points above the whole BMP. */
function fixup(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit;
}
