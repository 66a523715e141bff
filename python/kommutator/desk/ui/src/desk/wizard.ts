/**
 * The wizard's logic: what the operator sees of one call, and what follows from what she, her phone and the desk do.
 *
 * A pure function: `step(wizard, happened)` gives the next wizard and the effects to perform. It reads no clock, makes
 * no id and touches no network, so that the table of states can be tested row by row. The phone and the buttons come
 * in by different events and lead to the same states: a button only gives an order, the card says what became of it.
 */

import type { Back, Card, Consultation, Gone, OrderKind } from "../api/live";
import type { Interest } from "../api/types";
import {
  brought,
  chose,
  continued,
  entered,
  faults,
  NO_FIELDS,
  ofClient,
  ORDER_OF_FIELDS,
  typed,
  written,
  type Brought,
  type Chosen,
  type Continued,
  type FieldError,
  type Fields,
} from "./form";

/** Where the call is, as desk.md draws it. `none`: the wizard was opened without a call; `dialling`: I call back. */
export type Phase = "none" | "offered" | "dialling" | "talking" | "consulting" | "over";

/** How the call ended: the client hung up, we did, it was passed on, or somebody else took it. */
export type Ending = "client" | "us" | "passed" | "elsewhere";

export type Acceptance = "idle" | "sending" | "waiting";

export interface Pending {
  order: string;
  kind: OrderKind;
  employee: string | null;
}

export type NoticeCode =
  | "declined"
  | "busy"
  | "no_answer"
  | "unreachable"
  | "gone"
  | "client_gone"
  | "order_refused"
  | "order_unsent"
  | "accept_unsent"
  | "accept_refused"
  | "accept_conflict"
  | "back_failed";

export interface Notice {
  code: NoticeCode;
  /** The employee or the reason that the text names. */
  about: string;
}

export interface Wizard {
  /** The draft's id, and the enquiry's idempotency key. */
  readonly id: string;
  readonly callId: string | null;
  readonly card: Card | null;
  readonly phase: Phase;
  readonly ending: Ending | null;
  readonly fields: Fields;
  readonly chosen: Chosen;
  /** The interest that this call continues. */
  readonly continues: Continued | null;
  /** Which fields the operator has touched: what is found later never writes over them. */
  readonly touched: readonly (keyof Fields)[];
  /** Which fields came filled from whoever had the call before: only she, or I, change them. */
  readonly brought: readonly (keyof Fields)[];
  /** The client, or that it is a new one, was chosen by hand. */
  readonly decided: boolean;
  /** It was brought back after it had closed by itself: it stays until it is accepted or discarded. */
  readonly stays: boolean;
  /** Counts what was typed; a late write of the draft never covers a newer one. */
  readonly revision: number;
  /** «Принять обращение?» is asked. */
  readonly asking: boolean;
  /** It was asked by the button already: the telephone's word that the call is over asks no second time. */
  readonly asked: boolean;
  readonly pending: Pending | null;
  /** A command pressed while an order was on its way: given when that is done. */
  readonly queued: { command: Command; order: string } | null;
  readonly acceptance: Acceptance;
  /** Accepted while the call still goes on: only the call is left to be ended. */
  readonly accepted: boolean;
  readonly errors: Readonly<Partial<Record<keyof Fields | "client", FieldError>>>;
  readonly notice: Notice | null;
  /** Why it is closed; null while it is open. */
  readonly closed: "accepted" | "passed" | "discarded" | "elsewhere" | "empty" | null;
}

/** What a button or a key means; whether it can be used now is for `commands` to say. */
export type Command =
  | { press: "answer" | "hang_up" | "hold" | "back" | "swap" | "accept" | "yes" | "cancel" | "discard" | "dismiss" }
  | { press: "consult" | "transfer"; employee: string };

export type Happened =
  | { kind: "card"; card: Card }
  | { kind: "gone"; gone: Gone }
  | { kind: "typed"; field: keyof Fields; value: string }
  | { kind: "assigned"; manager: string; department: string }
  | { kind: "chosen"; client: Chosen; card?: { name: string; company: string; email: string; owner: string | null } }
  | { kind: "continued"; interest: Interest | null }
  | { kind: "brought"; brought: Brought }
  | { kind: "command"; command: Command; order: string }
  | { kind: "order_done"; order: string; done: boolean; reason: string | null }
  | { kind: "order_unsent"; order: string }
  | { kind: "accepted" }
  | { kind: "accept_conflict"; interest: Interest }
  | { kind: "accept_refused"; errors: Partial<Record<keyof Fields | "client", FieldError>>; reason: string }
  | { kind: "accept_unsent" }
  | { kind: "connected" };

export type Effect =
  | { do: "order"; order: string; kind: OrderKind; employee: string | null }
  | { do: "accept" }
  /** `deliver`: what was typed last is to be at the desk all the same, for whoever has the call now. */
  | { do: "forget_draft"; deliver?: true }
  | { do: "focus"; field: keyof Fields };

export interface Step {
  wizard: Wizard;
  effects: Effect[];
}

/** A wizard for a call as it comes to this desk. `me`: who calls back is responsible until somebody else is named. */
export function opened(id: string, card: Card, me = ""): Wizard {
  const wizard = blank(id);
  const fields = card.back == null ? wizard.fields : { ...wizard.fields, manager: me };
  return withCard({ ...wizard, callId: card.call_id, fields }, card);
}

/** A wizard that had closed by itself, brought back under another id: that of a closed one is not kept again. */
export function again(id: string, wizard: Wizard): Wizard {
  return { ...wizard, id, revision: 0, closed: null, stays: true };
}

/** A wizard without a call: an enquiry that came another way. */
export function blank(id: string): Wizard {
  return {
    id,
    callId: null,
    card: null,
    phase: "none",
    ending: null,
    fields: NO_FIELDS,
    chosen: "new",
    continues: null,
    touched: [],
    brought: [],
    decided: false,
    stays: false,
    revision: 0,
    asking: false,
    asked: false,
    pending: null,
    queued: null,
    acceptance: "idle",
    accepted: false,
    errors: {},
    notice: null,
    closed: null,
  };
}

/** Which commands can be used now; `hang_up` completes the transfer when `completes`. */
export function commands(wizard: Wizard) {
  const free = wizard.pending === null && wizard.closed === null;
  const { phase } = wizard;
  const mine = wizard.card?.role !== "guest";
  const back = isBack(wizard);
  const asked = consulting(wizard);
  const live = onTheLine(wizard);
  return {
    answer: free && phase === "offered",
    hang_up: free && live,
    completes: phase === "consulting" && asked?.state === "agreed",
    hold: free && mine && !back && phase === "talking",
    consult: free && mine && !back && phase === "talking",
    back: free && phase === "consulting",
    swap: free && phase === "consulting" && asked?.state === "agreed",
    accept:
      phase !== "offered" && mine && !wizard.accepted && wizard.acceptance !== "sending" && wizard.closed === null,
    discard:
      phase !== "offered" &&
      (!live || (back && phase === "talking")) &&
      wizard.closed === null &&
      wizard.acceptance !== "sending",
  };
}

/** Whether somebody's telephone is off the hook for it. */
export function onTheLine(wizard: Wizard): boolean {
  return wizard.phase === "dialling" || wizard.phase === "talking" || wizard.phase === "consulting";
}

/** Whether I have called the client, and not he us. */
export function isBack(wizard: Wizard): boolean {
  return wizard.card !== null && wizard.card.back != null;
}

/** The consultation that is going on. */
export function consulting(wizard: Wizard): Consultation | null {
  return wizard.phase === "consulting" ? (wizard.card?.consultation ?? null) : null;
}

/** The next state. `departments`: whether the chosen service type has a department, by whose rule somebody is found. */
export function step(wizard: Wizard, happened: Happened, departments: boolean): Step {
  switch (happened.kind) {
    case "card":
      return arrived(wizard, happened.card);
    case "gone":
      return gone(wizard, happened.gone);
    case "typed":
      return just(typed(wizard, { [happened.field]: happened.value }, [happened.field]));
    case "assigned":
      return just(
        typed(wizard, { manager: happened.manager, department: happened.department }, ["manager", "department"]),
      );
    case "chosen":
      return just(chose(wizard, happened.client, happened.card));
    case "continued":
      return just(continued(wizard, happened.interest));
    case "brought":
      return just(brought(wizard, happened.brought));
    case "command":
      return commanded(wizard, happened.command, happened.order, departments);
    case "order_done":
      if (wizard.pending?.order !== happened.order) return just(wizard);
      if (happened.done) return next(confirmed(wizard, wizard.pending), departments);
      return just({
        ...wizard,
        pending: null,
        queued: null,
        asked: false,
        asking: wizard.pending.kind === "hang_up" ? false : wizard.asking,
        notice: { code: "order_refused", about: happened.reason ?? "" },
      });
    case "order_unsent":
      if (wizard.pending?.order !== happened.order) return just(wizard);
      return just({ ...wizard, pending: null, queued: null, notice: { code: "order_unsent", about: "" } });
    case "accepted": {
      const accepted: Wizard = { ...wizard, acceptance: "idle", accepted: true, notice: null };
      const live = onTheLine(wizard);
      return { wizard: live ? accepted : { ...accepted, closed: "accepted" }, effects: [{ do: "forget_draft" }] };
    }
    case "accept_conflict":
      return just({
        ...continued(wizard, happened.interest),
        acceptance: "idle",
        notice: { code: "accept_conflict", about: "" },
      });
    case "accept_refused":
      return refused(wizard, happened.errors, happened.reason);
    case "accept_unsent":
      return just({ ...wizard, acceptance: "waiting", notice: { code: "accept_unsent", about: "" } });
    case "connected":
      if (wizard.acceptance !== "waiting") return just(wizard);
      return { wizard: { ...wizard, acceptance: "sending" }, effects: [{ do: "accept" }] };
  }
}

function just(wizard: Wizard): Step {
  return { wizard, effects: [] };
}

const FAILED: readonly string[] = ["declined", "busy", "no_answer", "unreachable", "gone"];

function arrived(wizard: Wizard, card: Card): Step {
  const before = wizard.phase;
  let next = withCard(wizard, card);
  const effects: Effect[] = [];
  const consultation = card.consultation;
  const news = consultation?.state !== wizard.card?.consultation?.state || before === "none";
  if (next.phase === "over" && before !== "over") {
    next = { ...next, pending: null, queued: null };
    if (wizard.accepted) return just({ ...next, ending: card.over_by ?? "us", closed: "accepted" });
    if (card.back != null) return calledBack(next, card.back);
    const agreed = wizard.card?.consultation?.state === "agreed" || consultation?.state === "agreed";
    if (card.over_by === "client") {
      next = { ...next, ending: "client", notice: { code: "client_gone", about: "" } };
    } else if (agreed && card.over_by === "us" && before === "consulting") {
      return passed(next);
    } else {
      next = { ...next, ending: "us", asking: next.asked ? next.asking : next.acceptance === "idle" };
    }
    if (empty(next)) return emptied(next);
  } else if (consultation !== null && FAILED.includes(consultation.state) && news) {
    const about = consultation.employee ?? consultation.endpoint ?? "";
    next = { ...next, notice: { code: consultation.state as NoticeCode, about } };
  } else if (next.phase === "talking" && before === "offered") {
    effects.push({ do: "focus", field: "service_type" });
  } else if (next.phase === "consulting" && before === "talking") {
    next = { ...next, notice: null };
  }
  return { wizard: next, effects };
}

/** The card's facts; what the operator has touched stays as she left it. */
function withCard(wizard: Wizard, card: Card): Wizard {
  const untouched = (field: keyof Fields) => !entered(wizard, field);
  const first = wizard.card === null || !wizard.card.known;
  let chosen = wizard.chosen;
  const only = card.matches.length === 1 ? card.matches[0] : undefined;
  if (first && !written(wizard)) chosen = card.matches.length === 0 ? "new" : (only?.id ?? "undecided");
  let fields = wizard.fields;
  if (untouched("phone") && fields.phone === "") fields = { ...fields, phone: card.caller ?? "" };
  const mine = card.matches.find((each) => each.id === chosen);
  if (first && mine !== undefined) fields = ofClient(wizard, fields, mine);
  const phase = phaseOf(card);
  const ended = phase === "over";
  const asking = wizard.asking && (ended || wizard.card !== null);
  return { ...wizard, card, phase, chosen, fields, asking, ending: ended ? wizard.ending : null };
}

function phaseOf(card: Card): Phase {
  if (card.state !== "consulting") return card.state;
  const state = card.consultation?.state;
  return state === "calling" || state === "ringing" || state === "agreed" ? "consulting" : "talking";
}

/** Whether the call is over and nothing would be missed of its wizard. */
export function empty(wizard: Wizard): boolean {
  return wizard.phase === "over" && !written(wizard) && !wizard.stays && wizard.acceptance === "idle";
}

function emptied(wizard: Wizard): Step {
  return { wizard: { ...wizard, asking: false, closed: "empty" }, effects: [{ do: "forget_draft" }] };
}

/** A call back is over: who has reached the client notes what came of it, and is not asked. */
function calledBack(wizard: Wizard, back: Back): Step {
  const next: Wizard = { ...wizard, ending: "us", asking: false };
  if (back.reason === null) return just({ ...next, stays: true });
  if (empty(next)) return emptied(next);
  return just({ ...next, notice: { code: "back_failed", about: back.reason } });
}

function gone(wizard: Wizard, what: Gone): Step {
  if (wizard.phase === "offered") {
    return {
      wizard: { ...wizard, phase: "over", ending: "elsewhere", closed: "elsewhere" },
      effects: forgotten(wizard),
    };
  }
  if (wizard.phase === "over" || wizard.closed !== null) return just(wizard);
  if (wizard.card?.role === "guest") {
    return {
      wizard: { ...wizard, phase: "over", ending: "elsewhere", closed: "elsewhere" },
      effects: forgotten(wizard),
    };
  }
  if (wizard.accepted) return just({ ...wizard, phase: "over", ending: "us", closed: "accepted" });
  if (what.why === "elsewhere") return passed({ ...wizard, phase: "over" });
  const ending: Ending = what.why === "hung_up" ? "client" : "us";
  const notice: Notice | null = ending === "client" ? { code: "client_gone", about: "" } : wizard.notice;
  const over: Wizard = { ...wizard, phase: "over", ending, pending: null, notice };
  return empty(over) ? emptied(over) : just(over);
}

/** The call is the manager's: the wizard closes, and nothing is registered. */
function passed(wizard: Wizard): Step {
  return {
    wizard: { ...wizard, phase: "over", ending: "passed", asking: false, pending: null, closed: "passed" },
    effects: [{ do: "forget_draft", deliver: true }],
  };
}

function forgotten(wizard: Wizard): Effect[] {
  return wizard.revision > 0 ? [{ do: "forget_draft" }] : [];
}

/** The command that waited for the order before it. */
function next(done: Step, departments: boolean): Step {
  const waited = done.wizard.queued;
  if (waited === null || done.wizard.closed !== null) return done;
  const given = commanded({ ...done.wizard, queued: null }, waited.command, waited.order, departments);
  return { wizard: given.wizard, effects: [...done.effects, ...given.effects] };
}

const ORDERS: readonly string[] = ["answer", "hang_up", "hold", "back", "swap", "consult", "transfer"];

function commanded(wizard: Wizard, command: Command, order: string, departments: boolean): Step {
  if (wizard.pending !== null && ORDERS.includes(command.press)) {
    return just({ ...wizard, queued: { command, order } });
  }
  const can = commands(wizard);
  const give = (kind: OrderKind, employee: string | null = null, change: Partial<Wizard> = {}): Step => ({
    wizard: { ...wizard, notice: null, ...change, pending: { order, kind, employee } },
    effects: [{ do: "order", order, kind, employee }],
  });
  switch (command.press) {
    case "answer":
      return can.answer ? give("answer") : just(wizard);
    case "hold":
      return can.hold ? give(wizard.card?.held ? "unhold" : "hold") : just(wizard);
    case "consult":
      return can.consult ? give("consult", command.employee, manager(wizard, command.employee)) : just(wizard);
    case "transfer":
      return can.consult ? give("transfer", command.employee, manager(wizard, command.employee)) : just(wizard);
    case "back":
      return can.back ? give("cancel_consult") : just(wizard);
    case "swap":
      return can.swap ? give("swap") : just(wizard);
    case "hang_up":
      if (!can.hang_up) return just(wizard);
      if (can.completes) return give("complete");
      return give("hang_up", null, {
        asked: true,
        asking: wizard.card?.role !== "guest" && !wizard.accepted && !isBack(wizard) && written(wizard),
      });
    case "cancel":
      return just({ ...wizard, asking: false });
    case "yes":
      return wizard.asking ? accepting({ ...wizard, asking: false }, departments) : just(wizard);
    case "accept":
      return can.accept ? accepting(wizard, departments) : just(wizard);
    case "discard":
      if (!can.discard) return just(wizard);
      return { wizard: { ...wizard, asking: false, closed: "discarded" }, effects: [{ do: "forget_draft" }] };
    case "dismiss":
      return just({ ...wizard, notice: null });
  }
}

/** The manager asked is also the one responsible, unless she has named another herself. */
function manager(wizard: Wizard, employee: string): Partial<Wizard> {
  return typed(wizard, { manager: employee, department: "" }, ["manager"]);
}

/** Accept pressed twice is one acceptance: the second finds it under way. */
function accepting(wizard: Wizard, departments: boolean): Step {
  if (wizard.acceptance === "sending" || wizard.closed !== null) return just(wizard);
  const errors = faults(wizard, departments);
  if (Object.keys(errors).length > 0) {
    const first = ORDER_OF_FIELDS.find((field) => errors[field] !== undefined);
    return { wizard: { ...wizard, errors }, effects: first === undefined ? [] : [{ do: "focus", field: first }] };
  }
  return {
    wizard: { ...wizard, errors: {}, notice: null, acceptance: "sending", revision: wizard.revision + 1 },
    effects: [{ do: "accept" }],
  };
}

function refused(wizard: Wizard, errors: Partial<Record<keyof Fields | "client", FieldError>>, reason: string): Step {
  const first = ORDER_OF_FIELDS.find((field) => errors[field] !== undefined);
  return {
    wizard: { ...wizard, acceptance: "idle", errors, notice: { code: "accept_refused", about: reason } },
    effects: first === undefined ? [] : [{ do: "focus", field: first }],
  };
}

/** An order that was carried out, told before the card that shows it. */
function confirmed(wizard: Wizard, done: Pending): Step {
  const next = { ...wizard, pending: null };
  if (done.kind === "complete" || done.kind === "transfer") {
    return done.kind === "complete" ? passed(next) : just(next);
  }
  return just(next);
}
