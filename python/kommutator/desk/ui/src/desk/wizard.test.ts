import { describe, expect, test } from "vitest";

import type { Card, Consultation, ConsultationState } from "../api/live";
import type { Interest } from "../api/types";
import { faults } from "./form";
import { kept, restored } from "./kept";
import { again, blank, commands, opened, step, type Command, type Effect, type Happened, type Wizard } from "./wizard";

const AT = "2026-11-18T06:00:00.000Z";

function card(over: Partial<Card> = {}): Card {
  return {
    call_id: "c1",
    did: "+74951112233",
    did_name: "главный",
    caller: "+79161234567",
    caller_national: "8 (916) 123-45-67",
    region: "Москва",
    state: "offered",
    role: "operator",
    by: null,
    offered_at: AT,
    answered_at: null,
    over_at: null,
    over_by: null,
    held: false,
    known: true,
    matches: [],
    owner: null,
    interests: [],
    interactions: [],
    tags: {},
    consultation: null,
    back: null,
    draft_id: null,
    as_of: AT,
    ...over,
  };
}

function consultation(state: ConsultationState): Consultation {
  return {
    employee: "boris",
    endpoint: null,
    state,
    since: AT,
    with: state === "agreed" ? "manager" : "client",
    leaving: false,
  };
}

const client = (id: number) => ({
  id,
  kind: "person" as const,
  name: `Клиент ${id}`,
  organisation: "Вектор",
  numbers: [{ number: "+79161234567", national: "8 (916) 123-45-67" }],
  email: "c@example.test",
  notes: "",
  owner: "anna",
  member_of: null,
  last_contact_at: null,
  merged_into: null,
  revision: 1,
  created_at: AT,
  updated_at: AT,
});

/** A wizard after all that; the effects of the last. */
function after(wizard: Wizard, ...happened: Happened[]): { wizard: Wizard; effects: Effect[] } {
  let effects: Effect[] = [];
  for (const each of happened) ({ wizard, effects } = step(wizard, each, true));
  return { wizard, effects };
}

const told = (over: Partial<Card>): Happened => ({ kind: "card", card: card(over) });
const press = (command: Command, order = "o1"): Happened => ({ kind: "command", command, order });
const typed = (field: "topic" | "name" | "email" | "phone", value: string): Happened => ({
  kind: "typed",
  field,
  value,
});
const talking = (over: Partial<Card> = {}) => after(opened("d1", card()), told({ state: "talking", ...over })).wizard;
const asking = (state: ConsultationState) =>
  after(talking(), told({ state: "consulting", consultation: consultation(state) })).wizard;

describe("the table of desk.md", () => {
  test("answered on the phone: the wizard is open, the number in Phone, a new client begun, Service type has the focus", () => {
    const { wizard, effects } = after(opened("d1", card()), told({ state: "talking" }));
    expect(wizard).toMatchObject({ phase: "talking", chosen: "new", fields: { phone: "+79161234567" } });
    expect(effects).toEqual([{ do: "focus", field: "service_type" }]);
  });

  test("the button gives an order, and the card says what became of it", () => {
    const pressed = after(opened("d1", card()), press({ press: "answer" }));
    expect(pressed.effects).toEqual([{ do: "order", order: "o1", kind: "answer", employee: null }]);
    expect(pressed.wizard).toMatchObject({ phase: "offered", pending: { kind: "answer" } });
    const done = after(
      pressed.wizard,
      { kind: "order_done", order: "o1", done: true, reason: null },
      told({ state: "talking" }),
    );
    expect(done.wizard).toMatchObject({ phase: "talking", pending: null });
  });

  test("gone elsewhere while it rang: closed", () => {
    const { wizard } = after(opened("d1", card()), { kind: "gone", gone: { call_id: "c1", why: "elsewhere" } });
    expect(wizard.closed).toBe("elsewhere");
  });

  test("redirect: the manager is called, and is the one responsible", () => {
    const { wizard, effects } = after(talking(), press({ press: "consult", employee: "boris" }));
    expect(effects).toEqual([{ do: "order", order: "o1", kind: "consult", employee: "boris" }]);
    expect(wizard.fields.manager).toBe("boris");
  });

  test.each(["calling", "ringing", "agreed"] as const)("consulting: %s", (state) => {
    const wizard = asking(state);
    expect(wizard.phase).toBe("consulting");
    expect(commands(wizard)).toMatchObject({ back: true, swap: state === "agreed", completes: state === "agreed" });
  });

  test.each(["declined", "busy", "no_answer", "unreachable"] as const)(
    "%s leads back to the client, and is said",
    (state) => {
      const { wizard } = after(asking("ringing"), told({ state: "talking", consultation: consultation(state) }));
      expect(wizard).toMatchObject({ phase: "talking", notice: { code: state, about: "boris" } });
      expect(commands(wizard).consult).toBe(true);
    },
  );

  test("back to the client", () => {
    const { wizard, effects } = after(asking("agreed"), press({ press: "back" }));
    expect(effects).toEqual([{ do: "order", order: "o1", kind: "cancel_consult", employee: null }]);
    const back = after(
      wizard,
      { kind: "order_done", order: "o1", done: true, reason: null },
      told({ state: "talking" }),
    );
    expect(back.wizard).toMatchObject({ phase: "talking", closed: null });
  });

  test("hang up when he agreed: passed on, the wizard closes, nothing is registered", () => {
    const { wizard, effects } = after(asking("agreed"), press({ press: "hang_up" }));
    expect(effects).toEqual([{ do: "order", order: "o1", kind: "complete", employee: null }]);
    const done = after(wizard, { kind: "order_done", order: "o1", done: true, reason: null });
    expect(done.wizard).toMatchObject({ closed: "passed", ending: "passed", asking: false });
    expect(done.effects).toEqual([{ do: "forget_draft", deliver: true }]);
  });

  test("hung up on the phone when he agreed: the same", () => {
    const { wizard } = after(asking("agreed"), {
      kind: "gone",
      gone: { call_id: "c1", why: "elsewhere", by: "boris" },
    });
    expect(wizard.closed).toBe("passed");
    const byCard = after(asking("agreed"), told({ state: "over", over_by: "us", over_at: AT }));
    expect(byCard.wizard.closed).toBe("passed");
  });

  test("hang up without a manager: asked", () => {
    const { wizard, effects } = after(talking(), typed("topic", "Котёл"), press({ press: "hang_up" }));
    expect(effects).toEqual([{ do: "order", order: "o1", kind: "hang_up", employee: null }]);
    expect(wizard.asking).toBe(true);
  });

  test("hung up on the phone: asked too", () => {
    const filled = after(talking(), typed("topic", "Котёл")).wizard;
    expect(after(filled, told({ state: "over", over_by: "us" })).wizard).toMatchObject({
      asking: true,
      ending: "us",
    });
  });

  test("yes is the same as accept", () => {
    const filled = after(talking(), typed("topic", "Котёл")).wizard;
    const yes = after(
      filled,
      press({ press: "hang_up" }),
      told({ state: "over", over_by: "us" }),
      press({ press: "yes" }),
    );
    expect(yes.effects).toEqual([{ do: "accept" }]);
    expect(after(filled, press({ press: "accept" })).effects).toEqual([{ do: "accept" }]);
    const accepted = after(yes.wizard, { kind: "accepted" });
    expect(accepted.wizard.closed).toBe("accepted");
    expect(accepted.effects).toEqual([{ do: "forget_draft" }]);
  });

  test("cancel: the call is over, the wizard stays, and can be accepted or discarded later", () => {
    const over = after(
      talking(),
      typed("topic", "Котёл"),
      press({ press: "hang_up" }),
      told({ state: "over", over_by: "us" }),
      press({ press: "cancel" }),
    );
    expect(over.wizard).toMatchObject({ asking: false, closed: null, phase: "over" });
    expect(commands(over.wizard)).toMatchObject({ accept: true, discard: true, hang_up: false });
    expect(after(over.wizard, press({ press: "discard" })).wizard.closed).toBe("discarded");
  });

  test.each([talking(), asking("ringing"), asking("agreed")])(
    "the client hangs up: the wizard stays and says so",
    (wizard) => {
      const { wizard: next } = after(wizard, typed("topic", "Котёл"), told({ state: "over", over_by: "client" }));
      expect(next).toMatchObject({ phase: "over", ending: "client", closed: null, asking: false });
      expect(next.fields.topic).toBe("Котёл");
      expect(next.notice?.code).toBe("client_gone");
    },
  );
});

describe("nothing is lost and nothing doubled", () => {
  test("accept pressed twice is sent once", () => {
    const filled = after(talking(), typed("topic", "Котёл"), press({ press: "accept" })).wizard;
    expect(after(filled, press({ press: "accept" }, "o2")).effects).toEqual([]);
  });

  test("accepted without the network: kept, and sent when it is back", () => {
    const waiting = after(talking(), typed("topic", "Котёл"), press({ press: "accept" }), {
      kind: "accept_unsent",
    }).wizard;
    expect(waiting).toMatchObject({ acceptance: "waiting", closed: null, notice: { code: "accept_unsent" } });
    expect(after(waiting, { kind: "connected" }).effects).toEqual([{ do: "accept" }]);
  });

  test("accepted without the network, then reloaded: still sent when it is back", () => {
    const waiting = after(talking(), typed("topic", "Котёл"), press({ press: "accept" }), {
      kind: "accept_unsent",
    }).wizard;
    const reloaded = restored(waiting.id, "c1", waiting.revision, kept(waiting));
    expect(reloaded.fields).toEqual(waiting.fields);
    expect(after(reloaded, { kind: "connected" }).effects).toEqual([{ do: "accept" }]);
  });

  test("a refused acceptance says where, and keeps everything", () => {
    const sent = after(talking(), typed("topic", "Котёл"), press({ press: "accept" })).wizard;
    const { wizard, effects } = after(sent, { kind: "accept_refused", errors: { phone: "bad" }, reason: "bad number" });
    expect(wizard).toMatchObject({
      acceptance: "idle",
      closed: null,
      errors: { phone: "bad" },
      fields: { topic: "Котёл" },
    });
    expect(effects).toEqual([{ do: "focus", field: "phone" }]);
  });

  test("a refused order leaves the call as it was", () => {
    const asked = after(talking(), press({ press: "hang_up" }), {
      kind: "order_done",
      order: "o1",
      done: false,
      reason: "late",
    });
    expect(asked.wizard).toMatchObject({
      phase: "talking",
      asking: false,
      pending: null,
      notice: { code: "order_refused" },
    });
  });

  test("an order that was not sent says so, and can be given again", () => {
    const { wizard } = after(talking(), press({ press: "hold" }), { kind: "order_unsent", order: "o1" });
    expect(wizard).toMatchObject({ phase: "talking", notice: { code: "order_unsent" } });
    expect(commands(wizard).hold).toBe(true);
  });

  test("an answer to an order of long ago changes nothing", () => {
    const wizard = after(talking(), press({ press: "hold" }, "o2")).wizard;
    expect(after(wizard, { kind: "order_done", order: "o1", done: false, reason: "late" }).wizard).toBe(wizard);
  });

  test("one order at a time", () => {
    const wizard = after(talking(), press({ press: "hold" }, "o1")).wizard;
    expect(after(wizard, press({ press: "hang_up" }, "o2")).effects).toEqual([]);
  });

  test("a command pressed while an order is on its way is given after it", () => {
    const swapping = after(asking("agreed"), press({ press: "swap" }, "o1"), press({ press: "back" }, "o2"));
    expect(swapping.effects).toEqual([]);
    const done = after(swapping.wizard, { kind: "order_done", order: "o1", done: true, reason: null });
    expect(done.effects).toEqual([{ do: "order", order: "o2", kind: "cancel_consult", employee: null }]);
    const refused = after(swapping.wizard, { kind: "order_done", order: "o1", done: false, reason: "failed" });
    expect(refused.wizard.queued).toBe(null);
  });

  test("cancelled before the telephone has said that the call is over, it is not asked again", () => {
    const filled = after(talking(), typed("topic", "Котёл")).wizard;
    const cancelled = after(filled, press({ press: "hang_up" }), press({ press: "cancel" }));
    const over = after(
      cancelled.wizard,
      { kind: "order_done", order: "o1", done: true, reason: null },
      told({ state: "over", over_by: "us" }),
    );
    expect(over.wizard).toMatchObject({ phase: "over", asking: false });
  });

  test("each keystroke is a new revision", () => {
    const wizard = after(talking(), typed("topic", "К"), typed("topic", "Ко")).wizard;
    expect(wizard.revision).toBe(2);
  });

  test("a call that goes on after a reload is as it was, with what was typed", () => {
    const before = after(talking(), typed("topic", "Котёл")).wizard;
    const { wizard } = after(restored("d1", "c1", before.revision, kept(before)), told({ state: "talking" }));
    expect(wizard).toMatchObject({
      phase: "talking",
      fields: { topic: "Котёл", phone: "+79161234567" },
      asking: false,
    });
  });
});

describe("whom it is about", () => {
  test("one match is opened, with what is known of him", () => {
    const wizard = opened("d1", card({ matches: [client(7)] }));
    expect(wizard).toMatchObject({ chosen: 7, fields: { name: "Клиент 7", company: "Вектор", manager: "anna" } });
  });

  test("several are offered, not guessed: nothing is filled in, and it must be decided", () => {
    const wizard = after(opened("d1", card({ matches: [client(7), client(8)] })), typed("topic", "Котёл")).wizard;
    expect(wizard).toMatchObject({ chosen: "undecided", fields: { name: "" } });
    expect(faults(wizard, true)).toEqual({ client: "undecided" });
  });

  test("a match that comes later never covers what was typed", () => {
    const typedFirst = after(talking(), typed("name", "Иван")).wizard;
    const { wizard } = after(typedFirst, told({ state: "talking", matches: [client(7)] }));
    expect(wizard).toMatchObject({ chosen: "new", fields: { name: "Иван" } });
  });
});

describe("accepted while the client is still on the line", () => {
  const accepted = () =>
    after(talking(), typed("topic", "Котёл"), press({ press: "accept" }), { kind: "accepted" }).wizard;

  test("the call stays in hand, and nothing is accepted twice", () => {
    expect(accepted()).toMatchObject({ phase: "talking", closed: null, accepted: true });
    expect(commands(accepted())).toMatchObject({ hang_up: true, hold: true, accept: false });
  });

  test("hanging up asks nothing, and closes", () => {
    const { wizard } = after(accepted(), press({ press: "hang_up" }), told({ state: "over", over_by: "us" }));
    expect(wizard).toMatchObject({ asking: false, closed: "accepted" });
  });

  test("the client's hanging up closes as well", () => {
    expect(after(accepted(), told({ state: "over", over_by: "client" })).wizard.closed).toBe("accepted");
  });
});

describe("a manager who is asked whether he takes the client", () => {
  const guest = (over: Partial<Card> = {}) => ({ role: "guest" as const, by: "olga", ...over });

  test("has the client's card, and no command but to answer and to hang up", () => {
    const { wizard } = after(opened("d1", card(guest())), told(guest({ state: "talking" })));
    expect(commands(wizard)).toMatchObject({ hang_up: true, hold: false, consult: false, accept: false });
    expect(after(wizard, press({ press: "hang_up" })).wizard.asking).toBe(false);
  });

  test("who does not take him has nothing left of it", () => {
    const { wizard } = after(opened("d1", card(guest())), told(guest({ state: "talking" })), {
      kind: "gone",
      gone: { call_id: "c1", why: "elsewhere", by: "olga" },
    });
    expect(wizard.closed).toBe("elsewhere");
  });

  test("who takes him has the call as his own", () => {
    const { wizard } = after(
      opened("d1", card(guest())),
      told(guest({ state: "talking" })),
      told({ state: "talking", by: "olga" }),
    );
    expect(wizard).toMatchObject({ phase: "talking", closed: null });
    expect(commands(wizard)).toMatchObject({ hold: true, consult: true, accept: true });
  });
});

describe("what is known later than the call", () => {
  test("is filled in when the memory answers, unless something was typed", () => {
    const waiting = opened("d1", card({ known: false }));
    const found = { state: "talking" as const, matches: [client(7)] };
    expect(after(waiting, told(found)).wizard).toMatchObject({ chosen: 7, fields: { name: "Клиент 7" } });
    const typedFirst = after(
      waiting,
      told({ state: "talking", known: false }),
      typed("name", "Иван"),
      told(found),
    ).wizard;
    expect(typedFirst).toMatchObject({ chosen: "new", fields: { name: "Иван" } });
  });
});

describe("what an enquiry needs", () => {
  const at = (fields: Partial<Wizard["fields"]>): Wizard => ({
    ...blank("d1"),
    fields: { ...blank("d1").fields, ...fields },
  });

  test.each([
    [{}, { phone: "needed", topic: "needed" }],
    [{ phone: "12", topic: "x" }, { phone: "bad" }],
    [{ phone: "+79161234567", topic: "x", email: "иван@" }, { email: "bad" }],
    [{ phone: "+79161234567", to_do: "перезвонить" }, {}],
  ])("%j", (fields, errors) => {
    expect(faults(at(fields), true)).toEqual(errors);
  });

  test("somebody is responsible: a manager, or a department of the service type", () => {
    const wizard = at({ phone: "+79161234567", topic: "x" });
    expect(faults(wizard, false)).toEqual({ manager: "needed" });
    expect(faults({ ...wizard, fields: { ...wizard.fields, manager: "boris" } }, false)).toEqual({});
  });

  test("the first field at fault has the focus", () => {
    const { effects } = after(talking(), press({ press: "accept" }));
    expect(effects).toEqual([{ do: "focus", field: "topic" }]);
  });
});

describe("a call that ends with nothing written", () => {
  test.each<[string, Happened[]]>([
    ["the client hangs up", [told({ state: "over", over_by: "client" })]],
    ["on the phone", [told({ state: "over", over_by: "us" })]],
    ["by the button, and nothing is asked", [press({ press: "hang_up" }), told({ state: "over", over_by: "us" })]],
    ["nobody has said how", [{ kind: "gone", gone: { call_id: "c1", why: "ended" } }]],
  ])("closes by itself: %s", (_, happened) => {
    const { wizard, effects } = after(talking(), ...happened);
    expect(wizard).toMatchObject({ closed: "empty", asking: false });
    expect(effects).toEqual([{ do: "forget_draft" }]);
  });

  test("is brought back as it was, and stays", () => {
    const closed = after(talking(), told({ state: "over", over_by: "client" })).wizard;
    const back = again("d2", closed);
    expect(back).toMatchObject({ id: "d2", phase: "over", closed: null, callId: "c1" });
    expect(after(back, told({ state: "over", over_by: "client" })).wizard.closed).toBe(null);
    expect(after(back, typed("topic", "Котёл"), press({ press: "accept" })).effects).toEqual([{ do: "accept" }]);
  });

  test("stays when a client was chosen by hand", () => {
    const found = opened("d1", card({ matches: [client(7), client(8)] }));
    const chosen = after(found, told({ state: "talking", matches: [client(7), client(8)] }), {
      kind: "chosen",
      client: 7,
    }).wizard;
    expect(after(chosen, told({ state: "over", over_by: "client" })).wizard.closed).toBe(null);
  });
});

describe("what the operator has typed of a call that goes to a manager", () => {
  const theirs = (fields: Partial<Wizard["fields"]>, chosen: Wizard["chosen"] = "new"): Happened => ({
    kind: "brought",
    brought: { fields: { ...blank("x").fields, ...fields }, chosen, continues: null },
  });
  const asked = () => opened("d1", card({ role: "guest", by: "olga" }));

  test("is there while his phone rings, and follows her until he writes himself", () => {
    const ringing = after(asked(), theirs({ topic: "Кот", name: "Иван" }), theirs({ topic: "Котёл", name: "Иван" }));
    expect(ringing.wizard).toMatchObject({ phase: "offered", fields: { topic: "Котёл", name: "Иван" } });
    const mine = after(ringing.wizard, told({ state: "talking", by: "olga" }), typed("name", "Пётр")).wizard;
    const late = after(mine, theirs({ topic: "Котёл и насос", name: "Иван" })).wizard;
    expect(late.fields).toMatchObject({ topic: "Котёл и насос", name: "Пётр" });
    expect(after(late, theirs({ topic: "", name: "Иван" })).wizard.fields.topic).toBe("");
  });

  test("told twice is one", () => {
    const once = after(asked(), theirs({ topic: "Котёл" })).wizard;
    expect(after(once, theirs({ topic: "Котёл" })).wizard).toBe(once);
  });

  test("the client whom she chose is his as well, unless he chooses another", () => {
    const both = [client(7), client(8)];
    const ringing = after(opened("d1", card({ role: "guest", by: "olga", matches: both })), theirs({}, 8)).wizard;
    expect(ringing.chosen).toBe(8);
    const mine = after(ringing, { kind: "chosen", client: 7 }, theirs({}, 8)).wizard;
    expect(mine.chosen).toBe(7);
  });

  test("would be missed, so it stays when the call is over", () => {
    const mine = after(asked(), theirs({ topic: "Котёл" }), told({ state: "talking", by: "olga" })).wizard;
    expect(after(mine, told({ state: "over", over_by: "client" })).wizard.closed).toBe(null);
  });
});

describe("a call back", () => {
  const back = (state: NonNullable<Card["back"]>["state"], over: Partial<Card> = {}, reason: string | null = null) =>
    told({ back: { state, reason }, ...over });
  const dialling = () =>
    opened("d1", card({ state: "dialling", back: { state: "ringing", reason: null }, matches: [client(7)] }), "boris");

  test("shows the client while my own phone rings; nothing can be done with it but giving it up", () => {
    expect(dialling()).toMatchObject({ phase: "dialling", chosen: 7, fields: { name: "Клиент 7", manager: "anna" } });
    expect(commands(dialling())).toMatchObject({ hang_up: true, hold: false, consult: false, discard: false });
  });

  test("who calls an unknown number back is responsible himself", () => {
    const wizard = opened("d1", card({ state: "dialling", back: { state: "ringing", reason: null } }), "boris");
    expect(wizard.fields.manager).toBe("boris");
  });

  test("reached: nothing is asked, and the wizard waits for the outcome", () => {
    const talks = after(
      dialling(),
      back("calling", { state: "dialling" }),
      back("talking", { state: "talking" }),
    ).wizard;
    expect(commands(talks)).toMatchObject({ hang_up: true, hold: false, consult: false, accept: true });
    const over = after(talks, back("over", { state: "over" })).wizard;
    expect(over).toMatchObject({ phase: "over", asking: false, closed: null, notice: null });
    expect(commands(over)).toMatchObject({ accept: true, discard: true });
  });

  test("not reached: closed, unless something was written, which says why", () => {
    const failed = back("over", { state: "over" }, "client_busy");
    expect(after(dialling(), failed).wizard.closed).toBe("empty");
    const noted = after(dialling(), typed("topic", "Котёл"), failed).wizard;
    expect(noted).toMatchObject({ closed: null, notice: { code: "back_failed", about: "client_busy" } });
  });
});

describe("an interest that goes on", () => {
  const interest = (revision: number, topic: string) =>
    ({ id: 3, client_id: 7, revision, topic, service_type: "equipment", assignee: "boris" }) as unknown as Interest;

  test("was changed meanwhile: it is shown as it is now, what was typed stays, and it is accepted by hand", () => {
    const sent = after(
      talking(),
      { kind: "continued", interest: interest(2, "Котёл") },
      typed("name", "Иван"),
      press({ press: "accept" }),
    ).wizard;
    expect(sent.continues).toEqual({ id: 3, revision: 2 });
    const { wizard, effects } = after(sent, { kind: "accept_conflict", interest: interest(3, "Котёл и насос") });
    expect(wizard).toMatchObject({
      acceptance: "idle",
      continues: { id: 3, revision: 3 },
      fields: { topic: "Котёл и насос", name: "Иван" },
      notice: { code: "accept_conflict" },
    });
    expect(effects).toEqual([]);
    expect(after(wizard, press({ press: "accept" })).effects).toEqual([{ do: "accept" }]);
  });
});
