/** The wizard's requests: people, drafts, the acceptance. */

import { api, got } from "../api/client";
import type { Problem } from "../api/problem";
import type { EnquiryForm, Interest } from "../api/types";
import type { DraftsAtDesk } from "./drafts";
import type { Continued, FieldError, Fields } from "./form";
import { flat, whole, type Kept } from "./kept";
import { people } from "./people.svelte";
import type { Wizard } from "./wizard";

/** The people of the active version. */
export async function loadPeople(): Promise<void> {
  const [employees, departments, services] = await Promise.all([
    got(api.GET("/api/employees", { params: { query: { everybody: true } } })),
    got(api.GET("/api/departments")),
    got(api.GET("/api/service-types")),
  ]);
  people.employees = employees.items;
  people.departments = departments.items;
  people.serviceTypes = services.items;
}

export const draftsAtDesk: DraftsAtDesk<Kept> = {
  async list() {
    const { items } = await got(api.GET("/api/drafts"));
    return items.map(({ id, call_id, revision, fields }) => ({ id, call_id, revision, content: whole(fields) }));
  },
  async put({ id, call_id, revision, content }) {
    const body = { call_id, revision, fields: flat(content) };
    await api.PUT("/api/drafts/{draft_id}", { params: { path: { draft_id: id } }, body });
  },
  async remove(id) {
    await api.DELETE("/api/drafts/{draft_id}", { params: { path: { draft_id: id } } });
  },
};

/**
 * Accepts what a wizard holds, in one transaction of the desk; the same wizard again is the same enquiry. What was corrected of a
 * client who is known goes with it. An enquiry that continues an interest becomes its next entry instead of a new interest.
 */
export async function acceptEnquiry(wizard: Wizard): Promise<void> {
  await api.POST("/api/enquiries", {
    params: { header: { "Idempotency-Key": wizard.id } },
    body: {
      ...whose(wizard),
      topic: wizard.fields.topic.trim(),
      to_do: wizard.fields.to_do.trim(),
      service_type: wizard.fields.service_type || null,
      assignee: wizard.fields.manager || null,
      department: wizard.fields.manager ? null : department(wizard),
      call_id: wizard.callId,
      ...(wizard.card?.answered_at ? { at: wizard.card.answered_at } : {}),
    },
  });
}

/** The interest that a wizard continues, as it is now. */
export async function interestOf({ id }: Continued): Promise<Interest> {
  return got(api.GET("/api/interests/{interest_id}", { params: { path: { interest_id: id } } }));
}

function whose({ fields, chosen, continues, touched, brought, card }: Wizard): Partial<EnquiryForm> {
  const known = card?.matches.find((each) => each.id === chosen);
  const had = known?.numbers.some(({ number }) => digits(number) === digits(fields.phone)) ?? false;
  const of = (field: keyof Fields) =>
    touched.includes(field) || brought.includes(field) ? fields[field].trim() : null;
  const corrections = {
    name: of("name"),
    organisation: of("company"),
    email: of("email"),
    number: had ? null : of("phone") || null,
    notes: fields.notes.trim(),
  };
  if (continues !== null) return { interest_id: continues.id, interest_revision: continues.revision, corrections };
  if (typeof chosen === "number") return { client_id: chosen, corrections };
  return {
    client: {
      name: fields.name.trim(),
      organisation: fields.company.trim(),
      numbers: [fields.phone.trim()],
      email: fields.email.trim(),
      notes: fields.notes.trim(),
    },
  };
}

/** Of an interest that goes on, only a department that was chosen; else the first that provides the service. */
function department({ fields, continues }: Wizard): string | null {
  const rule = continues === null ? people.providing(fields.service_type)[0]?.id : undefined;
  return fields.department || rule || null;
}

const digits = (number: string) => number.replace(/\D/g, "");

/** Which fields the desk did not like. */
export function errorsOf(problem: Problem): {
  errors: Partial<Record<keyof Fields | "client", FieldError>>;
  reason: string;
} {
  const errors: Partial<Record<keyof Fields, FieldError>> = {};
  const places: [RegExp, keyof Fields][] = [
    [/number/, "phone"],
    [/email/, "email"],
    [/topic/, "topic"],
    [/to_do/, "to_do"],
    [/organisation/, "company"],
    [/client\.name/, "name"],
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
