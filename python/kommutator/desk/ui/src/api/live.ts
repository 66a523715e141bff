/** What the desk tells its pages as it happens (`GET /api/events`), and the orders that a page gives. */

import type { components } from "./schema";

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
  | "calling"
  | "ringing"
  | "agreed"
  | "declined"
  | "busy"
  | "no_answer"
  | "unreachable"
  | "gone";

export interface Consultation {
  employee: string | null;
  endpoint: string | null;
  state: ConsultationState;
  since: string;
  /** Whom the operator hears. */
  with: "client" | "manager";
}

export type ClientSummary = components["schemas"]["Client"];

export type InterestStatus = "new" | "active" | "won" | "lost";

export interface InterestSummary {
  id: number;
  client_id: number;
  topic: string;
  to_do: string;
  service_type: string | null;
  status: InterestStatus;
  assignee: string | null;
  department: string | null;
  due_at: string | null;
  created_at: string;
}

export interface InteractionSummary {
  id: number;
  client_id: number;
  kind: "call" | "call_back" | "email" | "note";
  call_id: string | null;
  employee: string | null;
  topic: string;
  at: string;
}

export type CardState = "offered" | "talking" | "consulting" | "over";

/** A call at this desk, and what is known of who calls. */
export interface Card {
  call_id: string;
  did: string | null;
  did_name: string | null;
  caller: string | null;
  caller_national: string | null;
  region: string | null;
  state: CardState;
  offered_at: string;
  answered_at: string | null;
  over_at: string | null;
  over_by: "client" | "us" | null;
  held: boolean;
  matches: ClientSummary[];
  owner: string | null;
  interests: InterestSummary[];
  interactions: InteractionSummary[];
  tags: Record<string, string>;
  consultation: Consultation | null;
  draft_id: string | null;
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
  | "answer"
  | "hang_up"
  | "hold"
  | "unhold"
  | "consult"
  | "cancel_consult"
  | "swap"
  | "complete"
  | "transfer";

export interface OrderDone {
  done: boolean;
  reason?: string | null;
  card?: Card | null;
}
