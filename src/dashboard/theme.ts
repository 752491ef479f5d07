import { useEffect, useState } from "preact/hooks";

export type ResolvedTheme = "light" | "dark";
const STORED = "tallymark.theme";
const prefersDark = matchMedia("(prefers-color-scheme: dark)");

const stored = (): ResolvedTheme | null => {
  const value = localStorage.getItem(STORED);
  return value === "light" || value === "dark" ? value : null;
};
const resolve = (): ResolvedTheme => stored() ?? (prefersDark.matches ? "dark" : "light");

/** The system's theme until the viewer chooses one, which is remembered. */
export function useTheme(): readonly [ResolvedTheme, () => void] {
  const [theme, setTheme] = useState(resolve);
  document.documentElement.dataset.theme = theme;
  useEffect(() => {
    const follow = () => setTheme(resolve());
    prefersDark.addEventListener("change", follow);
    return () => prefersDark.removeEventListener("change", follow);
  }, []);
  const toggle = () => {
    localStorage.setItem(STORED, theme === "dark" ? "light" : "dark");
    setTheme(resolve());
  };
  return [theme, toggle];
}
