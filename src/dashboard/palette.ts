/** Dashes tell lines apart where colours do not: on paper, and for one viewer in twelve. */
const DASHES: readonly (readonly number[])[] = [[], [], [7, 3], [2, 3], [9, 3, 2, 3], [], [7, 3], [2, 3]];

export const dashOf = (colour: number): number[] => [...(DASHES[colour % DASHES.length] ?? [])];
export const colourVariable = (colour: number): string => `var(--series-${colour})`;

/** The theme's colours as a canvas needs them: computed, since `light-dark()` means nothing there. */
export function colours(): { ink: string; grid: string; open: string; series: string[] } {
  const probe = document.createElement("i");
  document.body.append(probe);
  const read = (variable: string) => {
    probe.style.color = variable;
    return getComputedStyle(probe).color;
  };
  const found = {
    ink: read("var(--ink-soft)"),
    grid: read("var(--grid)"),
    open: read("var(--open)"),
    series: DASHES.map((_, colour) => read(colourVariable(colour))),
  };
  probe.remove();
  return found;
}
