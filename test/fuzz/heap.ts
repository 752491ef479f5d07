import { once } from "node:events";
import { readdir, readFile, readlink } from "node:fs/promises";
import { WebSocket } from "ws";
import type { Service } from "../support/service.ts";

/** What a service holds on to. */
export interface Level {
  /** Bytes of live objects, after a full collection. */
  readonly heap: number;
  /** Connections, pipes and files, without those of the database, which opens more as it grows. */
  readonly handles: number;
  /** Bytes; does not go back, since the allocator keeps what it once had. */
  readonly rss: number;
}

/** Of the environment of a service whose level is to be taken. */
export const INSPECTED = { NODE_OPTIONS: "--inspect=127.0.0.1:0" };

export async function takeLevel({ pid, stderr, dataDir }: Service): Promise<Level> {
  const heap = await liveHeap(/ws:\/\/127\.0\.0\.1:\S+/.exec(stderr())?.[0] as string);
  const handles = (await openFiles(pid)).filter((path) => !path.startsWith(dataDir)).length;
  const rss = Number(/VmRSS:\s+(\d+)/.exec(await readFile(`/proc/${pid}/status`, "utf8"))?.[1]) * 1_024;
  return { heap, handles, rss };
}

async function openFiles(pid: number): Promise<string[]> {
  const directory = `/proc/${pid}/fd`;
  const paths = (await readdir(directory)).map((fd) => readlink(`${directory}/${fd}`).catch(() => "gone"));
  return Promise.all(paths);
}

/** By the protocol of Chrome's developer tools (https://chromedevtools.github.io/devtools-protocol/v8/). */
async function liveHeap(inspector: string): Promise<number> {
  const socket = new WebSocket(inspector);
  await once(socket, "open");
  const ask = async (method: string) => {
    socket.send(JSON.stringify({ id: 1, method }));
    const [answer] = await once(socket, "message");
    return JSON.parse(answer.toString()).result;
  };
  await ask("HeapProfiler.collectGarbage");
  const { usedSize } = await ask("Runtime.getHeapUsage");
  socket.close();
  await once(socket, "close");
  return usedSize;
}
