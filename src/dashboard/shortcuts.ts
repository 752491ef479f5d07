import { useEffect, useRef } from "preact/hooks";

const STORED = "tallymark.shortcuts";

/** Single keys may be in the way of speech input, so they can be switched off (WCAG 2.1.4); it is remembered. */
export const shortcuts = {
  areOn: (): boolean => localStorage.getItem(STORED) !== "off",
  set: (areOn: boolean): void => localStorage.setItem(STORED, areOn ? "on" : "off"),
};

/** Runs an action when its key is pressed outside of fields and dialogs. */
export function useShortcuts(actions: Readonly<Record<string, () => void>>): void {
  const latest = useRef(actions);
  latest.current = actions;
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      const action = latest.current[event.key];
      const isElsewhere = (event.target as Element).closest("input, select, textarea, dialog") !== null;
      if (!action || isElsewhere || event.ctrlKey || event.metaKey || event.altKey || !shortcuts.areOn()) return;
      event.preventDefault();
      action();
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, []);
}
