/** The desk's events, over one connection a tab that is made anew whenever it breaks. */

import type { Card, FloorFact, Gone, Snapshot } from "../api/live";
import { uuid } from "../base/id";

/** A call that somebody asks me to take, or has passed to me. */
export interface BroughtToMe {
  call_id: string;
  card: Card;
  /** What the operator has typed up to now. */
  draft: DraftTold | null;
}

/** A wizard that another page of mine, or the operator, has typed into. */
export interface DraftTold {
  id: string;
  call_id: string | null;
  fields: Record<string, unknown>;
  revision: number;
}

/** How a call back of mine goes on. */
export interface CallBack {
  call_id: string;
  number: string;
  state: "ringing" | "calling" | "talking" | "over";
  reason: string | null;
}

export interface NewInterest {
  id: number;
  client_id: number;
  title: string;
  assignee: string | null;
  state: string;
  from_call?: string | null;
}

export interface Heard {
  snapshot(snapshot: Snapshot): void;
  floor(fact: FloorFact): void;
  call(card: Card): void;
  call_gone(gone: Gone): void;
  interest(interest: NewInterest): void;
  missed(count: { count: number }): void;
  task(count: { count: number }): void;
  asked_of_me(brought: BroughtToMe): void;
  passed_to_me(brought: BroughtToMe): void;
  interest_changed(interest: { id: number }): void;
  call_back(told: CallBack): void;
  draft(draft: DraftTold): void;
  draft_closed(draft: { id: string }): void;
  version(version: { number: number }): void;
}

const NAMES: (keyof Heard)[] = [
  "snapshot",
  "floor",
  "call",
  "call_gone",
  "interest",
  "missed",
  "task",
  "asked_of_me",
  "passed_to_me",
  "interest_changed",
  "call_back",
  "draft",
  "draft_closed",
  "version",
];
const AGAIN_MS = [500, 1000, 2000, 4000, 8000];

/**
 * Listens until what is returned is called. `state` is told whether events come; between attempts 0.5 to 8 seconds pass,
 * with a third of it by chance, so that a desk that comes back is not asked by all tabs at once.
 */
export function listen(heard: Heard, state: (connected: boolean) => void): () => void {
  const tab = tabId();
  let source: EventSource | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let failures = 0;

  const connect = () => {
    source = new EventSource(`/api/events?tab=${tab}`);
    for (const name of NAMES) {
      source.addEventListener(name, (event: MessageEvent<string>) => {
        failures = 0;
        (heard[name] as (told: unknown) => void)(JSON.parse(event.data));
      });
    }
    source.onopen = () => state(true);
    source.onerror = () => {
      source?.close();
      state(false);
      const pause = AGAIN_MS[Math.min(failures++, AGAIN_MS.length - 1)]!;
      timer = setTimeout(connect, pause * (0.85 + Math.random() * 0.3));
    };
  };
  const now = () => {
    if (source?.readyState === EventSource.OPEN) return;
    clearTimeout(timer);
    source?.close();
    connect();
  };
  connect();
  addEventListener("online", now);
  return () => {
    removeEventListener("online", now);
    clearTimeout(timer);
    source?.close();
  };
}

/** This tab's identity: the same after a reload. */
function tabId(): string {
  let id = sessionStorage.getItem("kommutator.tab");
  if (id === null) sessionStorage.setItem("kommutator.tab", (id = uuid()));
  return id;
}
