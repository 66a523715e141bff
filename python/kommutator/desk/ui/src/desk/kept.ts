/** A draft in the form in which the desk keeps it: one flat object of texts, numbers and lists. */

import { NO_FIELDS, type Chosen, type Continued, type Fields } from "./form";
import { blank, type Ending, type Wizard } from "./wizard";

/** What of a wizard is kept as its draft. */
export interface Kept {
  fields: Fields;
  chosen: Chosen;
  continues: Continued | null;
  touched: (keyof Fields)[];
  brought: (keyof Fields)[];
  decided: boolean;
  asking: boolean;
  ending: Ending | null;
  /** She has accepted, and the desk does not know it yet. */
  accepting: boolean;
}

type Flat = Record<string, string | number | boolean | null | string[]>;

const ENDINGS: readonly string[] = ["client", "us", "passed", "elsewhere"];

/** As it is sent. What the wizard itself remembers begins with an underscore. */
export function flat(draft: Kept): Flat {
  return {
    ...draft.fields,
    _chosen: draft.chosen,
    _continues: draft.continues?.id ?? null,
    _continues_revision: draft.continues?.revision ?? null,
    _touched: [...draft.touched],
    _brought: [...draft.brought],
    _decided: draft.decided,
    _asking: draft.asking,
    _ending: draft.ending,
    _accepting: draft.accepting,
  };
}

/** As it was sent; what is missing or strange is as in an empty wizard. */
export function whole(fields: Readonly<Record<string, unknown>>): Kept {
  const names = Object.keys(NO_FIELDS) as (keyof Fields)[];
  const texts = names.map((name) => [name, typeof fields[name] === "string" ? fields[name] : ""]);
  const chosen = fields["_chosen"];
  const listed = (name: string): readonly unknown[] => (Array.isArray(fields[name]) ? (fields[name] as unknown[]) : []);
  const [touched, brought] = [listed("_touched"), listed("_brought")];
  const [continues, revision] = [fields["_continues"], fields["_continues_revision"]];
  return {
    fields: Object.fromEntries(texts) as unknown as Fields,
    chosen: typeof chosen === "number" || chosen === "undecided" ? (chosen as Chosen) : "new",
    continues:
      typeof continues === "number" ? { id: continues, revision: typeof revision === "number" ? revision : 0 } : null,
    touched: names.filter((name) => touched.includes(name)),
    brought: names.filter((name) => brought.includes(name)),
    decided: fields["_decided"] === true,
    asking: fields["_asking"] === true,
    ending: ENDINGS.includes(fields["_ending"] as string) ? (fields["_ending"] as Ending) : null,
    accepting: fields["_accepting"] === true,
  };
}

/** The draft of a wizard. */
export function kept(wizard: Wizard): Kept {
  const { fields, chosen, continues, touched, brought, decided, asking, ending } = wizard;
  return {
    fields: { ...fields },
    chosen,
    continues,
    touched: [...touched],
    brought: [...brought],
    decided,
    asking,
    ending,
    accepting: wizard.acceptance !== "idle",
  };
}

/** A wizard as it was before a reload; what the call is doing now comes by its card. */
export function restored(id: string, callId: string | null, revision: number, draft: Kept): Wizard {
  return {
    ...blank(id),
    callId,
    revision,
    fields: { ...NO_FIELDS, ...draft.fields },
    chosen: draft.chosen,
    continues: draft.continues,
    touched: draft.touched,
    brought: draft.brought,
    decided: draft.decided,
    asking: draft.asking,
    ending: draft.ending ?? (callId === null ? null : "us"),
    phase: callId === null ? "none" : "over",
    acceptance: draft.accepting ? "waiting" : "idle",
    notice: draft.accepting ? { code: "accept_unsent", about: "" } : null,
  };
}
