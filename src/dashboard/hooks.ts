import { createContext } from "preact";
import { useContext, useEffect, useReducer, useRef, useState } from "preact/hooks";
import type { AnswerOf, LiveQuery, LiveState } from "../client/index.ts";
import type { LiveConnection } from "./live.ts";
import { RequestFailed } from "./rest.ts";
import type { ResolvedTheme } from "./theme.ts";

/** What every part of the page shares. */
export interface Page {
  readonly live: LiveConnection;
  readonly paused: boolean;
  readonly theme: ResolvedTheme;
}

export const PageContext = createContext<Page | null>(null);
export const usePage = (): Page => useContext(PageContext) as Page;

/** The newest state of a feed. What was shown stays when something fails. */
export interface Feed<Data> {
  readonly data: Data | null;
  readonly failure: Error | null;
}

/** Follows a feed, see `useFeeds`. */
export function useFeed<Q extends LiveQuery>(query: Q): Feed<AnswerOf<Q>> {
  return useFeeds([query])[0] as Feed<AnswerOf<Q>>;
}

/** Follows feeds of one kind, in order. While the page is paused the first answer of each is taken and no other. */
export function useFeeds<Q extends LiveQuery>(queries: readonly Q[]): readonly Feed<AnswerOf<Q>>[] {
  const { live, paused } = usePage();
  const feeds = useRef(new Map<string, Feed<AnswerOf<Q>>>());
  const [, redraw] = useReducer((n: number) => n + 1, 0);
  const keys = queries.map((query) => JSON.stringify(query));
  const all = JSON.stringify(keys);
  useEffect(() => {
    const known = feeds.current;
    const wanted = new Set(JSON.parse(all) as string[]);
    const set = (key: string, feed: Partial<Feed<AnswerOf<Q>>>) => {
      known.set(key, { data: known.get(key)?.data ?? null, failure: null, ...feed });
      redraw(0);
    };
    const follow = (key: string) => {
      if (paused && known.get(key)?.data) return () => {};
      const leave = live.subscribe(JSON.parse(key) as Q, {
        onData: (data) => {
          if (paused) leave();
          set(key, { data });
        },
        onError: (failure) => set(key, { failure }),
      });
      return leave;
    };
    for (const key of known.keys()) if (!wanted.has(key)) known.delete(key);
    const leaving = [...wanted].map(follow);
    return () => {
      for (const leave of leaving) leave();
    };
  }, [live, all, paused]);
  return keys.map((key) => feeds.current.get(key) ?? { data: null, failure: null });
}

/** Redraws once in so many ms, for what shows its age. */
export function useTick(everyMs: number): void {
  const [, redraw] = useReducer((n: number) => n + 1, 0);
  useEffect(() => {
    const timer = setInterval(() => redraw(0), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
}

export interface Loaded<Answer> {
  readonly answer: Answer | null;
  readonly failure: RequestFailed | null;
  /** Asks again now. */
  readonly again: () => void;
}

/**
 * What `load` answers, asked for whenever `key` changes and then every so many ms (`null`: not again);
 * a `key` of `null` asks for nothing. A failure
 * is shown and tried again, and the last answer stays.
 */
export function useLoaded<Answer>(
  key: string | null,
  load: (signal: AbortSignal) => Promise<Answer>,
  everyMs: number | null,
): Loaded<Answer> {
  const [state, setState] = useState<{ answer: Answer | null; failure: RequestFailed | null }>({
    answer: null,
    failure: null,
  });
  const [round, again] = useReducer((n: number) => n + 1, 0);
  const latest = useRef(load);
  latest.current = load;
  useEffect(() => {
    if (key === null) return;
    const ended = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const ask = async () => {
      try {
        const answer = await latest.current(ended.signal);
        if (!ended.signal.aborted) setState({ answer, failure: null });
      } catch (error) {
        if (ended.signal.aborted) return;
        if (!(error instanceof RequestFailed)) throw error;
        setState(({ answer }) => ({ answer, failure: error }));
      }
      if (!ended.signal.aborted && everyMs !== null) timer = setTimeout(ask, everyMs);
    };
    void ask();
    return () => {
      ended.abort();
      clearTimeout(timer);
    };
    // A new round asks again.
  }, [key, everyMs, round]);
  return { ...state, again: () => again(0) };
}

/** The state of the connection, and what is drawn with it. */
export function useConnection(): LiveState {
  const { live } = usePage();
  const [state, setState] = useState(live.state);
  useEffect(() => {
    setState(live.state);
    return live.watch(() => setState(live.state));
  }, [live]);
  return state;
}
