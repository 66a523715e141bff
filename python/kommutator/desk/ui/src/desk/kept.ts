/** A draft in the form in which the desk keeps it: one flat object of texts, numbers and lists. */

import { NO_FIELDS, type Chosen, type Ending, type Fields, type Kept } from "./wizard";

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
