/** So many units within so many seconds. */
export interface Rate {
  readonly limit: number;
  readonly seconds: number;
}

const UNIT_SECONDS = { s: 1, m: 60, h: 3_600 } as const;
const PATTERN = /^([1-9]\d{0,8})\/([smh])$/;

export const RATE_RULE = "must be <n>/s, <n>/m or <n>/h";

/** `"1000/s"` → rate; `null` when the text is none. */
export function parseRate(text: string): Rate | null {
  const match = PATTERN.exec(text);
  if (!match) return null;
  return { limit: Number(match[1]), seconds: UNIT_SECONDS[match[2] as keyof typeof UNIT_SECONDS] };
}
