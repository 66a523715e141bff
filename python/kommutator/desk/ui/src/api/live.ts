/** What the desk tells its pages as it happens (`GET /api/events`), and the orders that a page gives. */

import type { Client, Interaction, Interest } from "./types";

export type Presence = "present" | "away" | "offline";
export type Line = "idle" | "ringing" | "busy" | "wrap_up" | "unreachable";

/** The two facts of one employee, each with the moment since when it is so (RFC 3339). */
export interface FloorFact {
  employee: string;
  presence?: Presence | null;
  presence_at?: string | null;
  line?: Line | null;
  line_at?: string | null;
}

export type ConsultationState =
  "calling" | "ringing" | "agreed" | "declined" | "busy" | "no_answer" | "unreachable" | "gone";

export interface Consultation {
  employee: string | null;
  endpoint: string | null;
  state: ConsultationState;
  since: string;
  /** Whom the operator hears. */
  with: "client" | "manager";
  /** The operator has left already: the client is this person's as soon as he answers. */
  leaving: boolean;
}

/** `dialling`: a call back that has not reached the client yet. */
export type CardState = "offered" | "dialling" | "talking" | "consulting" | "over";

/** A call back: my own phone rings, then the client's. */
export interface Back {
  state: "ringing" | "calling" | "talking" | "over";
  /** Why nobody talked, once it is over. */
  reason: string | null;
}

/** A call at this desk, and what is known of who calls. */
export interface Card {
  call_id: string;
  did: string | null;
  did_name: string | null;
  caller: string | null;
  caller_national: string | null;
  region: string | null;
  state: CardState;
  /** `guest`: an operator asks whether I take the client. */
  role: "operator" | "guest";
  /** The operator who asks, or from whom I have the client. */
  by: string | null;
  offered_at: string;
  answered_at: string | null;
  over_at: string | null;
  over_by: "client" | "us" | null;
  held: boolean;
  /** False: the memory has not answered yet, and what follows is empty for that. */
  known: boolean;
  matches: Client[];
  owner: string | null;
  interests: Interest[];
  interactions: Interaction[];
  tags: Record<string, string>;
  consultation: Consultation | null;
  /** Null: the client has called. */
  back: Back | null;
  draft_id: string | null;
  /** Of the last thing that happened to the call: a card of an earlier moment is older. */
  as_of: string;
}

export interface Gone {
  call_id: string;
  why: "elsewhere" | "hung_up" | "ended";
  by?: string | null;
}

export interface Snapshot {
  floor: FloorFact[];
  calls: Card[];
  missed: number;
  tasks: number;
  interests: number;
  version: number | null;
}

export type OrderKind =
  "answer" | "hang_up" | "hold" | "unhold" | "consult" | "cancel_consult" | "swap" | "complete" | "transfer";

export interface OrderDone {
  done: boolean;
  reason?: string | null;
  card?: Card | null;
}
