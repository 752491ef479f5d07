import { useEffect, useState } from "preact/hooks";
import { formatView, parseView, type ViewState } from "./url-state.ts";

/** What the address says is chosen; a change is a step in the browser's history. */
export function useView(): readonly [ViewState, (change: Partial<ViewState>) => void] {
  const [view, setView] = useState(() => parseView(location.search));
  useEffect(() => {
    const follow = () => setView(parseView(location.search));
    addEventListener("popstate", follow);
    return () => removeEventListener("popstate", follow);
  }, []);
  const change = (fields: Partial<ViewState>) => {
    const next = { ...parseView(location.search), ...fields };
    history.pushState(null, "", formatView(next));
    setView(next);
  };
  return [view, change];
}
