/** The operator's desk as state: the wizards of her calls, what is live, and what is on its way to the desk process. */

import { api, send } from "../api/client";
import type { Card, OrderDone, Presence, Snapshot } from "../api/live";
import { passing, Problem } from "../api/problem";
import type { Interest } from "../api/types";
import { persistently } from "../api/retry";
import { uuid } from "../base/id";
import { t } from "../base/i18n.svelte";
import { go } from "../base/route.svelte";
import { session } from "../base/session.svelte";
import { setClock } from "../base/time.svelte";
import { notify, unnotify } from "../base/notify.svelte";
import { tell } from "../base/toasts.svelte";
import { callerOf } from "./caller";
import { Drafts } from "./drafts";
import { acceptEnquiry, draftsAtDesk, errorsOf, interestOf, loadPeople } from "./enquiry";
import { reasonText as failure } from "../words/reasons";
import { written, type Continued, type Fields } from "./form";
import { kept, restored, whole, type Kept } from "./kept";
import { listen, type BroughtToMe, type CallBack, type NewInterest } from "./events";
import { noticeText, reasonText } from "./notices";
import { people } from "./people.svelte";
import {
  again,
  blank,
  empty,
  onTheLine,
  opened,
  step,
  type Command,
  type Effect,
  type Happened,
  type Wizard,
} from "./wizard";

/** An order is tried again for so long; after that the operator is told that it did not leave. */
const ORDER_MS = 6000;
const ACCEPT_AGAIN_MS = 5000;
/** How long a transfer waits for the draft to be at the desk. */
const FLUSH_MS = 500;

class Desk {
  wizards = $state.raw<Wizard[]>([]);
  selectedId = $state<string | null>(null);
  /** Whether events come; `null` until the first have. */
  connected = $state<boolean | null>(null);
  lostAt = $state<string | null>(null);
  missed = $state(0);
  tasks = $state(0);
  interests = $state(0);
  /** Raised when what is on my workplace has changed. */
  workChanged = $state(0);
  /** Whether everything typed is at the desk. */
  saved = $state(true);
  presence = $state<Presence | null>(null);
  /** The field that the wizard on the screen is to give the focus; `n` tells one wish from the next. */
  focus = $state<{ field: keyof Fields; n: number }>({ field: "service_type", n: 0 });
  /** Picks up the telephone in this page when it rings with this caller; false when it does not. */
  pickUp: ((caller: string | null) => boolean) | null = null;
  /** What a screen reader is told at once. */
  spoken = $state("");

  readonly selected = $derived(this.wizards.find((each) => each.id === this.selectedId) ?? null);
  /** Calls that ring here, the oldest first. */
  readonly offered = $derived(this.wizards.filter((each) => each.phase === "offered"));

  private drafts: Drafts<Kept> | null = null;
  /** The interests because of which I call back, by call. */
  private readonly calledFor = new Map<string, Interest>();
  private stops: (() => void)[] = [];

  /** Begins for whoever is signed in. */
  start(): void {
    const user = session.me;
    if (user === null) return;
    this.drafts = new Drafts<Kept>(localStorage, String(user.id), draftsAtDesk, () => {
      this.saved = this.drafts?.saved ?? true;
    });
    this.restore(this.drafts.here());
    void this.load();
    this.stops.push(
      listen(
        {
          snapshot: (snapshot) => this.snapshot(snapshot),
          floor: (fact) => {
            people.fact(fact);
            if (fact.employee === session.me?.employee && fact.presence) this.presence = fact.presence;
          },
          call: (card) => this.card(card),
          call_gone: (gone) => {
            const wizard = this.ofCall(gone.call_id);
            if (wizard) this.act(wizard.id, { kind: "gone", gone });
          },
          interest: (interest) => this.interest(interest),
          missed: ({ count }) => {
            this.missed = count;
            this.workChanged += 1;
          },
          task: ({ count }) => {
            this.tasks = count;
            this.workChanged += 1;
          },
          asked_of_me: (brought) => this.brought(brought),
          passed_to_me: (brought) => this.brought(brought),
          interest_changed: () => {
            this.workChanged += 1;
          },
          call_back: (told) => this.calledBack(told),
          draft: ({ id, call_id, revision, fields }) =>
            this.restore([{ id, call_id, revision, content: whole(fields) }]),
          draft_closed: ({ id }) => this.closedElsewhere(id),
          version: () => void loadPeople().catch(() => undefined),
        },
        (connected) => this.link(connected),
      ),
    );
    const other = (event: StorageEvent) => this.otherTab(event);
    addEventListener("storage", other);
    this.stops.push(() => removeEventListener("storage", other));
    const again = setInterval(() => this.all({ kind: "connected" }), ACCEPT_AGAIN_MS);
    this.stops.push(() => clearInterval(again));
  }

  /** Ends when the user signs out. */
  stop(): void {
    for (const stop of this.stops.splice(0)) stop();
    this.wizards = [];
    this.selectedId = null;
    this.drafts = null;
    this.connected = null;
  }

  /** A command of the operator for the wizard on the screen, or for another. */
  command(command: Command, id: string | null = this.selectedId): void {
    if (id !== null) this.act(id, { kind: "command", command, order: uuid() });
  }

  /** Something that happened to a wizard. */
  act(id: string, happened: Happened): void {
    const at = this.wizards.findIndex((each) => each.id === id);
    const before = this.wizards[at];
    if (before === undefined) return;
    const departments = people.providing(before.fields.service_type).length > 0 && before.fields.service_type !== "";
    const { wizard, effects } = step(before, happened, departments);
    const next = this.keep(before, wizard);
    this.wizards = this.wizards.with(at, next);
    if (before.phase === "offered" && next.phase === "talking") this.answered(next);
    if (before.phase !== next.phase || before.notice !== next.notice) this.speak(next);
    if (next.accepted && !before.accepted) this.thank(next);
    for (const effect of effects) this.perform(next, effect);
    if (next.closed !== null) this.close(next);
  }

  /** Answers the call that rings: the one on the screen, else the one that rings longest. False when none does. */
  answer(): boolean {
    const ringing = this.selected?.phase === "offered" ? this.selected : this.offered[0];
    if (ringing === undefined) return false;
    this.command({ press: "answer" }, ringing.id);
    return true;
  }

  /** Shows a wizard. */
  select(id: string): void {
    this.selectedId = id;
  }

  /** The next or the one before, round and round. */
  move(by: 1 | -1): void {
    const at = this.wizards.findIndex((each) => each.id === this.selectedId);
    const next = this.wizards[(at + by + this.wizards.length) % this.wizards.length];
    if (next) this.selectedId = next.id;
  }

  /** A wizard for an enquiry that did not come by a call. */
  begin(fields: Partial<Fields> = {}): void {
    const wizard = blank(uuid());
    this.wizards = [...this.wizards, { ...wizard, fields: { ...wizard.fields, ...fields } }];
    this.selectedId = wizard.id;
    this.focus = { field: "phone", n: this.focus.n + 1 };
  }

  /** Says where I am; on the screen at once. */
  async present(presence: Presence): Promise<void> {
    const before = this.presence;
    this.presence = presence;
    try {
      await persistently(() => api.PUT("/api/me/presence", { body: { presence } }), ORDER_MS);
    } catch (error) {
      this.presence = before;
      tell(t("presence.failed", { reason: failure(error) }), "bad");
    }
  }

  /** Has the PBX ring my phone, then the number. */
  async callBack(
    number: string,
    of: { missed_id?: string; client_id?: number } = {},
    interest: Interest | null = null,
  ): Promise<boolean> {
    const order = uuid();
    if (interest !== null) this.calledFor.set(`back-${order}`, interest);
    try {
      const told = await persistently(
        () => send<OrderDone>("POST", "/api/call-backs", { order, number, ...of }),
        ORDER_MS,
      );
      // That it rings is shown by its card.
      if (!told.done) tell(t("callback.refused", { reason: reasonText(told.reason ?? "") }), "bad");
      return told.done;
    } catch (error) {
      tell(t("callback.refused", { reason: failure(error) }), "bad");
      return false;
    }
  }

  /** Tabs of one browser show the same wizards. */
  private otherTab(event: StorageEvent): void {
    const told = this.drafts?.told(event) ?? null;
    if (typeof told === "string") this.closedElsewhere(told);
    else if (told !== null) this.restore([told]);
  }

  private closedElsewhere(id: string): void {
    const wizard = this.wizards.find((each) => each.id === id);
    if (wizard === undefined || wizard.acceptance === "sending" || wizard.accepted) return;
    if (onTheLine(wizard)) {
      this.act(id, { kind: "accepted" });
      return;
    }
    this.wizards = this.wizards.filter((each) => each !== wizard);
    if (this.selectedId === id) this.selectedId = this.wizards[0]?.id ?? null;
  }

  private async load(): Promise<void> {
    await Promise.all([
      persistently(() => loadPeople(), Number.POSITIVE_INFINITY),
      persistently(() => this.drafts!.all(), Number.POSITIVE_INFINITY).then((found) => this.restore(found)),
    ]).catch((error: unknown) => {
      if (!(error instanceof Problem && error.status === 401)) tell(failure(error), "bad");
    });
  }

  private restore(drafts: { id: string; call_id: string | null; revision: number; content: Kept }[]): void {
    for (const { id, call_id, revision, content } of drafts) {
      const mine = this.wizards.find((each) => each.id === id || (call_id !== null && each.callId === call_id));
      if (mine === undefined) {
        this.wizards = [...this.wizards, restored(id, call_id, revision, content)];
        this.selectedId ??= id;
      } else if (mine.revision < revision) {
        const again = restored(mine.id, call_id, revision, content);
        const merged = mine.card === null ? again : step(again, { kind: "card", card: mine.card }, false).wizard;
        this.wizards = this.wizards.map((each) => (each === mine ? merged : each));
      }
    }
  }

  private snapshot(snapshot: Snapshot & { at?: string }): void {
    setClock(snapshot.at ?? null);
    people.facts(snapshot.floor);
    const mine = snapshot.floor.find((each) => each.employee === session.me?.employee);
    this.presence = mine?.presence ?? this.presence;
    this.missed = snapshot.missed;
    this.tasks = snapshot.tasks;
    this.interests = snapshot.interests;
    this.workChanged += 1;
    const there = new Set(snapshot.calls.map((each) => each.call_id));
    for (const wizard of this.wizards) {
      if (wizard.callId !== null && !there.has(wizard.callId) && wizard.card !== null) {
        this.act(wizard.id, { kind: "gone", gone: { call_id: wizard.callId, why: "ended" } });
      }
    }
    for (const card of snapshot.calls) this.card(card);
    // Calls that ended while no page looked, with nothing written.
    for (const wizard of this.wizards) {
      if (wizard.callId !== null && empty(wizard)) this.command({ press: "discard" }, wizard.id);
    }
    this.all({ kind: "connected" });
  }

  private card(card: Card): void {
    const known = this.ofCall(card.call_id);
    if (known?.card && Date.parse(known.card.as_of) > Date.parse(card.as_of)) return;
    if (known !== undefined) {
      this.act(known.id, { kind: "card", card });
      return;
    }
    if (card.state === "over") return;
    // One call is one wizard in all tabs; after that is closed, another enquiry of the same call has a key of its own.
    const usual = card.draft_id ?? `${card.call_id}.${session.me?.id ?? 0}`;
    const closed = this.drafts?.closed(usual) ?? false;
    if (closed && card.back !== null) return;
    const wizard = opened(closed ? uuid() : usual, card, session.me?.employee ?? "");
    this.wizards = [...this.wizards, wizard];
    this.speak(wizard);
    const interest = this.calledFor.get(card.call_id);
    if (interest !== undefined) this.act(wizard.id, { kind: "continued", interest });
    if (wizard.phase !== "offered") {
      this.answered(wizard);
      this.focus = { field: card.back === null ? "service_type" : "to_do", n: this.focus.n + 1 };
    }
    // What rings is shown only where nothing else is: it never takes the place of what she works on.
    this.selectedId ??= wizard.id;
  }

  private answered(wizard: Wizard): void {
    this.selectedId = wizard.id;
    // Whoever plays with virtual phones has the desk open beside.
    if (location.pathname !== "/phones") go("/");
  }

  private keep(before: Wizard, after: Wizard): Wizard {
    if (after.closed !== null || after.accepted || after.phase === "offered") return after;
    const content = kept(after);
    if (before.phase !== "offered" && JSON.stringify(content) === JSON.stringify(kept(before))) return after;
    if (after.phase === "none" && !written(after)) return after;
    const revision = Math.max(after.revision, before.revision + 1);
    this.drafts?.keep({ id: after.id, call_id: after.callId, revision, content });
    return { ...after, revision };
  }

  private perform(wizard: Wizard, effect: Effect): void {
    switch (effect.do) {
      case "order":
        void this.order(wizard, effect);
        break;
      case "accept":
        void this.accept(wizard);
        break;
      case "forget_draft":
        this.drafts?.forget(wizard.id, effect.deliver);
        break;
      case "focus":
        if (wizard.id === this.selectedId) this.focus = { field: effect.field, n: this.focus.n + 1 };
    }
  }

  private async order(wizard: Wizard, { order, kind, employee }: Extract<Effect, { do: "order" }>): Promise<void> {
    if (kind === "answer" && this.pickUp?.(wizard.card?.caller ?? null)) {
      this.act(wizard.id, { kind: "order_done", order, done: true, reason: null });
      return;
    }
    const path = `/api/calls/${encodeURIComponent(wizard.callId ?? "")}/orders`;
    const body = employee === null ? { order, kind } : { order, kind, employee };
    // Whoever the call goes to is told what was typed at the moment when it does.
    if (kind === "complete" || kind === "transfer") {
      await Promise.race([this.drafts?.flush(wizard.id), new Promise((done) => setTimeout(done, FLUSH_MS))]);
    }
    try {
      const told = await persistently(() => send<OrderDone>("POST", path, body), ORDER_MS);
      if (told.card) this.card(told.card);
      this.act(wizard.id, { kind: "order_done", order, done: told.done, reason: told.reason ?? null });
    } catch (error) {
      if (passing(error)) this.act(wizard.id, { kind: "order_unsent", order });
      else this.act(wizard.id, { kind: "order_done", order, done: false, reason: codeOf(error) });
    }
  }

  private async accept(wizard: Wizard): Promise<void> {
    try {
      await acceptEnquiry(wizard);
      this.act(wizard.id, { kind: "accepted" });
    } catch (error) {
      if (error instanceof Problem && error.code === "conflict" && wizard.continues !== null) {
        await this.conflict(wizard, wizard.continues);
      } else if (error instanceof Problem && !error.passing && error.status !== 401) {
        this.act(wizard.id, { kind: "accept_refused", ...errorsOf(error) });
      } else {
        this.act(wizard.id, { kind: "accept_unsent" });
      }
    }
  }

  /** Somebody has changed the interest meanwhile: it is shown as it is now, and accepted again by hand. */
  private async conflict(wizard: Wizard, seen: Continued): Promise<void> {
    try {
      const interest = await persistently(() => interestOf(seen), ORDER_MS);
      this.act(wizard.id, { kind: "accept_conflict", interest });
    } catch (error) {
      this.act(wizard.id, { kind: "accept_refused", errors: {}, reason: failure(error) });
    }
  }

  private thank({ fields }: Wizard): void {
    const manager =
      people.name(fields.manager) ||
      people.departmentName(fields.department || people.providing(fields.service_type)[0]?.id);
    tell(t("closed.accepted", { manager }), "good");
  }

  private close(wizard: Wizard): void {
    unnotify(`call:${wizard.callId}`);
    const at = this.wizards.findIndex((each) => each.id === wizard.id);
    this.wizards = this.wizards.toSpliced(at, 1);
    if (this.selectedId === wizard.id) {
      const live = this.wizards.find(onTheLine);
      this.selectedId = (live ?? this.wizards[0])?.id ?? null;
    }
    if (wizard.closed === "passed") {
      const to = wizard.card?.consultation?.employee ?? wizard.fields.manager;
      tell(t("closed.passed", { manager: people.name(to) }), "good");
    }
    // What did not work of a call back is said by its own event.
    if (wizard.closed === "empty" && !wizard.card?.back) {
      const number = wizard.card?.caller_national ?? wizard.card?.caller ?? t("call.hidden");
      const name = wizard.fields.name || wizard.fields.company;
      const who = [name, number.replaceAll(" ", "\u00a0")].filter(Boolean).join(", ");
      const back = () => this.bringBack(wizard);
      tell(t("closed.empty", { who }), "news", undefined, { says: t("closed.empty.back"), run: back });
    }
  }

  private interest(interest: NewInterest): void {
    this.interests += 1;
    this.workChanged += 1;
    const text = t("work.new_interest", { title: interest.title });
    tell(text, "news", `/work?interest=${interest.id}`);
    this.spoken = text;
    notify(`interest:${interest.id}`, t("notify.interest"), interest.title, `/work?interest=${interest.id}`);
  }

  /** The call is mine now, or I am asked to take it: with what the operator has typed. */
  private brought({ card, draft }: BroughtToMe): void {
    this.card(card);
    const wizard = this.ofCall(card.call_id);
    if (wizard !== undefined && draft !== null) {
      this.act(wizard.id, { kind: "brought", brought: whole(draft.fields) });
    }
    const now = this.ofCall(card.call_id);
    if (now === undefined || card.state === "over") return;
    const { title, company } = callerOf(now, card);
    const told = { who: [title, company].filter(Boolean).join(", "), by: people.name(card.by) };
    const about = [people.serviceName(now.fields.service_type), now.fields.topic].filter(Boolean).join(" · ");
    notify(`call:${card.call_id}`, t(card.role === "guest" ? "notify.asked" : "notify.passed", told), about, "/");
  }

  private calledBack({ call_id, number, state, reason }: CallBack): void {
    if (state !== "over") return;
    this.calledFor.delete(call_id);
    if (reason !== null && reason !== "cancelled") {
      tell(t("callback.failed", { number, reason: reasonText(reason) }), "bad");
    }
  }

  private bringBack(wizard: Wizard): void {
    const id = uuid();
    this.wizards = [...this.wizards, again(id, wizard)];
    this.selectedId = id;
    go("/");
  }

  private link(connected: boolean): void {
    if (!connected && this.connected !== false) this.lostAt = new Date().toISOString();
    this.connected = connected;
    if (connected) this.all({ kind: "connected" });
  }

  private all(happened: Happened): void {
    for (const wizard of this.wizards) this.act(wizard.id, happened);
  }

  private speak(wizard: Wizard): void {
    const number = wizard.card?.caller_national ?? wizard.fields.phone;
    this.notify(wizard);
    if (wizard.phase === "offered") this.spoken = t("spoken.offered", { number });
    else if (wizard.notice) this.spoken = noticeText(wizard);
    else if (wizard.phase === "dialling") this.spoken = t("callback.ringing", { number });
    else if (wizard.phase === "talking") this.spoken = t("spoken.talking", { number });
  }

  /** The system's notification of a call, while nobody looks at the page. */
  private notify(wizard: Wizard): void {
    if (wizard.callId === null || wizard.card === null) return;
    const { title, company, number } = callerOf(wizard, wizard.card);
    const who = [title, company, number].filter(Boolean).join(", ");
    const tag = `call:${wizard.callId}`;
    if (wizard.phase !== "offered") unnotify(tag);
    else if (wizard.card.role === "operator") notify(tag, t("notify.call", { who }), wizard.card.region ?? "", "/");
  }

  private ofCall(call: string): Wizard | undefined {
    return this.wizards.find((each) => each.callId === call);
  }
}

function codeOf(error: unknown): string {
  return error instanceof Problem ? error.detail || error.code : String(error);
}

export const desk = new Desk();
