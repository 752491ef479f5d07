interface Listens {
  addEventListener(type: string, listener: () => void): void;
  removeEventListener(type: string, listener: () => void): void;
}

interface Surroundings {
  readonly document?: Listens & { readonly visibilityState: string };
  readonly process?: {
    on?(event: "beforeExit", listener: () => void): void;
    off?(event: "beforeExit", listener: () => void): void;
  };
}

export interface OnLeaving {
  /** A page is put away, perhaps for good: browsers give no later sign (https://web.dev/articles/bfcache). */
  readonly onHidden: () => void;
  /** A Node process has nothing left to do. */
  readonly onIdle: () => void;
}

/** @returns stops watching */
export function watchLeaving({ onHidden, onIdle }: OnLeaving): () => void {
  const { document, process } = globalThis as Surroundings;
  if (document) {
    const page = globalThis as unknown as Listens;
    const onChange = () => document.visibilityState === "hidden" && onHidden();
    document.addEventListener("visibilitychange", onChange);
    page.addEventListener("pagehide", onHidden);
    return () => {
      document.removeEventListener("visibilitychange", onChange);
      page.removeEventListener("pagehide", onHidden);
    };
  }
  process?.on?.("beforeExit", onIdle);
  return () => process?.off?.("beforeExit", onIdle);
}
