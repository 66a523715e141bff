/** What is written in a wizard: by whom, what of it stays when more is known, and what an enquiry needs. Pure, like the wizard. */

import type { Interest } from "../api/types";
import type { Wizard } from "./wizard";

export interface Fields {
  phone: string;
  service_type: string;
  topic: string;
  to_do: string;
  name: string;
  company: string;
  email: string;
  manager: string;
  /** Chosen in the picker when a department and nobody in it is meant. */
  department: string;
  notes: string;
}

/** The client: a new one, one of those found, or not yet decided because several were found. */
export type Chosen = "new" | "undecided" | number;

/** An interest that goes on, at the revision that was seen. */
export interface Continued {
  id: number;
  revision: number;
}

/** What somebody else has typed of the call that is mine now, or that I am asked to take. */
export interface Brought {
  fields: Fields;
  chosen: Chosen;
  continues: Continued | null;
}

export type FieldError = "needed" | "bad" | "undecided";

export const NO_FIELDS: Fields = {
  phone: "",
  service_type: "",
  topic: "",
  to_do: "",
  name: "",
  company: "",
  email: "",
  manager: "",
  department: "",
  notes: "",
};

/** As they stand on the screen: the first at fault gets the focus. */
export const ORDER_OF_FIELDS: readonly (keyof Fields)[] = [
  "phone",
  "service_type",
  "topic",
  "to_do",
  "name",
  "company",
  "email",
  "manager",
  "notes",
];

/** Whether anything was entered that would be missed. */
export function written(wizard: Wizard): boolean {
  return wizard.touched.length > 0 || wizard.brought.length > 0 || wizard.decided || wizard.continues !== null;
}

/** Whether somebody has filled the field in, so that what is found later leaves it alone. */
export function entered(wizard: Wizard, field: keyof Fields): boolean {
  return wizard.touched.includes(field) || wizard.brought.includes(field);
}

/** What prevents the acceptance of what is entered. `departments`: whether the service type has any. */
export function faults(wizard: Wizard, departments: boolean): Partial<Record<keyof Fields | "client", FieldError>> {
  const { fields, chosen, continues } = wizard;
  const found: Partial<Record<keyof Fields | "client", FieldError>> = {};
  if (chosen === "undecided") found.client = "undecided";
  if (chosen === "new" || chosen === "undecided") {
    const digits = fields.phone.replace(/\D/g, "").length;
    if (digits === 0) found.phone = "needed";
    else if (digits < 7 || digits > 15) found.phone = "bad";
  }
  if (fields.topic.trim() === "" && fields.to_do.trim() === "" && continues === null) found.topic = "needed";
  if (fields.email.trim() !== "" && !/^[^\s@]+@[^\s@.]+(\.[^\s@.]+)+$/.test(fields.email.trim())) found.email = "bad";
  if (fields.manager === "" && fields.department === "" && !departments) found.manager = "needed";
  return found;
}

/** Something is written by hand. */
export function typed(wizard: Wizard, values: Partial<Fields>, names: (keyof Fields)[]): Wizard {
  const errors = { ...wizard.errors };
  for (const name of names) delete errors[name];
  return {
    ...wizard,
    fields: { ...wizard.fields, ...values },
    touched: [...new Set([...wizard.touched, ...names])],
    revision: wizard.revision + 1,
    errors,
  };
}

/** The client is chosen by hand. `card`: what is known of him. */
export function chose(
  wizard: Wizard,
  client: Chosen,
  card?: { name: string; company: string; email: string; owner: string | null },
): Wizard {
  const errors = { ...wizard.errors };
  delete errors.client;
  const fields =
    card === undefined ? wizard.fields : ofClient(wizard, wizard.fields, { ...card, organisation: card.company });
  return { ...wizard, chosen: client, decided: true, continues: null, fields, errors, revision: wizard.revision + 1 };
}

/** The interest goes on, or does not after all. */
export function continued(wizard: Wizard, interest: Interest | null): Wizard {
  if (interest === null) return { ...wizard, continues: null, revision: wizard.revision + 1 };
  const keep = (field: keyof Fields, value: string) => (entered(wizard, field) ? wizard.fields[field] : value);
  const client = wizard.card?.matches.find((each) => each.id === interest.client_id);
  const fields = {
    ...(client === undefined ? wizard.fields : ofClient(wizard, wizard.fields, client)),
    service_type: keep("service_type", interest.service_type ?? ""),
    topic: keep("topic", interest.topic),
    manager: keep("manager", interest.assignee ?? ""),
  };
  const { id, revision } = interest;
  return {
    ...wizard,
    chosen: interest.client_id,
    continues: { id, revision },
    fields,
    revision: wizard.revision + 1,
  };
}

/** What whoever had the call before has typed, as it is now; what I have typed or chosen myself stays. */
export function brought(wizard: Wizard, { fields: theirs, chosen, continues }: Brought): Wizard {
  const fields = { ...wizard.fields };
  const names = new Set(wizard.brought);
  for (const name of Object.keys(NO_FIELDS) as (keyof Fields)[]) {
    const told = names.has(name) || (theirs[name] !== "" && theirs[name] !== fields[name]);
    if (!told || wizard.touched.includes(name)) continue;
    fields[name] = theirs[name];
    names.add(name);
  }
  const free = !wizard.decided && wizard.continues === null;
  const client = free && (typeof chosen === "number" || continues !== null) ? { chosen, continues } : {};
  const next = { ...wizard, ...client, fields, brought: [...names] };
  const same = shape(next) === shape(wizard);
  return same ? wizard : { ...next, revision: wizard.revision + 1 };
}

/** The fields with what is known of a client; what was entered stays. */
export function ofClient(
  wizard: Wizard,
  fields: Fields,
  client: { name: string; organisation: string; email: string; owner: string | null },
): Fields {
  const keep = (field: keyof Fields, value: string) => (entered(wizard, field) ? fields[field] : value);
  return {
    ...fields,
    name: keep("name", client.name),
    company: keep("company", client.organisation),
    email: keep("email", client.email),
    manager:
      wizard.continues !== null
        ? fields.manager
        : keep("manager", client.owner ?? (wizard.card?.back != null ? fields.manager : "")),
  };
}

function shape({ fields, brought, chosen, continues }: Wizard): string {
  return JSON.stringify([fields, brought, chosen, continues]);
}
