/** The wizard's requests: people, drafts, the acceptance. */

import { send } from "../api/client";
import type { Problem } from "../api/problem";
import type { Draft, DraftsAtDesk } from "./drafts";
import type { Department, Employee, people, ServiceType } from "./people.svelte";
import type { FieldError, Fields, Kept, Wizard } from "./wizard";

type Items<T> = { items: T[] };

/** The people of the active version. */
export async function loadPeople(into: typeof people): Promise<void> {
  const [employees, departments, services] = await Promise.all([
    send<Items<Employee>>("GET", "/api/employees"),
    send<Items<Department>>("GET", "/api/departments"),
    send<Items<ServiceType>>("GET", "/api/service-types"),
  ]);
  into.employees = employees.items;
  into.departments = departments.items;
  into.serviceTypes = services.items;
}

export const draftsAtDesk: DraftsAtDesk<Kept> = {
  async list() {
    return (await send<Items<Draft<Kept>>>("GET", "/api/drafts")).items;
  },
  async put({ id, call_id, revision, content }) {
    await send("PUT", `/api/drafts/${encodeURIComponent(id)}`, { call_id, revision, fields: content });
  },
  async remove(id) {
    await send("DELETE", `/api/drafts/${encodeURIComponent(id)}`);
  },
};

/** Accepts what a wizard holds; the same wizard again is the same enquiry. */
export async function acceptEnquiry(wizard: Wizard): Promise<void> {
  void wizard;
}

/** Which fields the desk did not like. */
export function errorsOf(problem: Problem): { errors: Partial<Record<keyof Fields | "client", FieldError>>; reason: string } {
  const errors: Partial<Record<keyof Fields, FieldError>> = {};
  const places: [RegExp, keyof Fields][] = [
    [/number/, "phone"],
    [/email/, "email"],
    [/topic/, "topic"],
    [/to_do/, "to_do"],
    [/organisation/, "company"],
    [/name/, "name"],
    [/service_type/, "service_type"],
    [/assignee|department/, "manager"],
    [/notes/, "notes"],
  ];
  for (const { path } of problem.errors) {
    const field = places.find(([place]) => place.test(path))?.[1];
    if (field !== undefined) errors[field] = "bad";
  }
  if (problem.code === "bad_number") errors.phone = "bad";
  return { errors, reason: problem.detail };
}
