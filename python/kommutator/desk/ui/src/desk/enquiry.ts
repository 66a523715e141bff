/** The wizard's requests: people, drafts, the acceptance. */

import { api, got, withRevision } from "../api/client";
import type { Problem } from "../api/problem";
import type { Client, ClientForm } from "../api/types";
import type { DraftsAtDesk } from "./drafts";
import { flat, whole } from "./kept";
import { people } from "./people.svelte";
import type { FieldError, Fields, Kept, Wizard } from "./wizard";

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
 * Accepts what a wizard holds; the same wizard again is the same enquiry. What was corrected of a client who is known is
 * written to him before. An enquiry that continues an interest becomes its next entry instead of a new interest.
 */
export async function acceptEnquiry(wizard: Wizard): Promise<void> {
  const { fields, chosen } = wizard;
  const known = typeof chosen === "number" ? await corrected(chosen, wizard) : null;
  if (wizard.continues !== null) return continued(wizard.continues, wizard);
  const department = fields.department || people.providing(fields.service_type)[0]?.id || null;
  const client: ClientForm = {
    name: fields.name.trim(),
    organisation: fields.company.trim(),
    numbers: [fields.phone.trim()],
    email: fields.email.trim(),
    notes: fields.notes.trim(),
  };
  const to_do =
    known === null ? fields.to_do : [fields.to_do, fields.notes].filter((each) => each.trim() !== "").join("\n\n");
  await api.POST("/api/enquiries", {
    params: { header: { "Idempotency-Key": wizard.id } },
    body: {
      ...(known === null ? { client } : { client_id: known.id }),
      topic: fields.topic.trim(),
      to_do: to_do.trim(),
      service_type: fields.service_type || null,
      assignee: fields.manager || null,
      department: fields.manager ? null : department,
      call_id: wizard.callId,
      ...(wizard.card?.answered_at ? { at: wizard.card.answered_at } : {}),
    },
  });
}

async function corrected(id: number, wizard: Wizard): Promise<Client> {
  const path = { client_id: id };
  const { data: client, etag } = await withRevision(api.GET("/api/clients/{client_id}", { params: { path } }));
  const { fields, touched } = wizard;
  const of = (field: keyof Fields, value: string) => (touched.includes(field) ? fields[field].trim() : value);
  const next = {
    name: of("name", client.name),
    organisation: of("company", client.organisation),
    email: of("email", client.email),
  };
  const digits = (number: string) => number.replace(/\D/g, "");
  const numbers = client.numbers.map((each) => each.number);
  const added =
    touched.includes("phone") &&
    fields.phone.trim() !== "" &&
    !numbers.some((each) => digits(each) === digits(fields.phone));
  const same = next.name === client.name && next.organisation === client.organisation && next.email === client.email;
  if (client.merged_into !== null || (same && !added)) return client;
  const { kind, notes, owner, member_of } = client;
  const body: ClientForm = {
    kind,
    notes,
    owner,
    member_of,
    ...next,
    numbers: added ? [...numbers, fields.phone.trim()] : numbers,
  };
  return got(api.PUT("/api/clients/{client_id}", { params: { path, header: { "If-Match": etag } }, body }));
}

async function continued(id: number, wizard: Wizard): Promise<void> {
  const path = { interest_id: id };
  const { data: interest, etag } = await withRevision(api.GET("/api/interests/{interest_id}", { params: { path } }));
  const { fields } = wizard;
  const comment = [fields.to_do, fields.notes].filter((each) => each.trim() !== "").join("\n");
  const { due_at } = interest;
  await api.PUT("/api/interests/{interest_id}", {
    params: { path, header: { "If-Match": etag } },
    body: {
      topic: fields.topic.trim() || interest.topic,
      to_do: fields.to_do.trim() || interest.to_do,
      service_type: fields.service_type || interest.service_type,
      assignee: fields.manager || (fields.department ? null : interest.assignee),
      department: fields.department || interest.department,
      status: interest.status,
      due_at,
      comment: comment.trim(),
    },
  });
  await api.POST("/api/clients/{client_id}/interactions", {
    params: { path: { client_id: interest.client_id } },
    body: { topic: fields.topic.trim() || interest.topic, body: comment.trim() },
  });
  await draftsAtDesk.remove(wizard.id);
}

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
