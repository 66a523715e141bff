/** Whom the picker shows, in which order: pure, so that its rules can be tested. */

import type { FloorFact } from "../api/live";
import type { Department, Employee } from "../api/types";

/** Who can take the call now, who will be free, who is absent. */
export type Reach = "free" | "soon" | "absent";
export type View = "departments" | "all" | "owner";

export interface Choice {
  employee: Employee;
  reach: Reach;
}

export interface Group {
  department: Department | null;
  choices: Choice[];
}

/** What the two facts mean together: who has said nothing is at the workplace, as routers take it; without a line he is absent. */
export function reach(fact: FloorFact | undefined): Reach {
  if ((fact?.presence ?? "present") !== "present" || fact?.line === null || fact?.line === undefined) return "absent";
  if (fact.line === "idle") return "free";
  return fact.line === "unreachable" ? "absent" : "soon";
}

const PLACE: Record<Reach, number> = { free: 0, soon: 1, absent: 2 };

/**
 * The picker's list. `search` are beginnings of words of a name or a department; `services` narrows to departments that
 * provide it (views Departments and All); `owner` are those responsible for the client.
 */
export function groups(
  view: View,
  employees: readonly Employee[],
  departments: readonly Department[],
  floor: Readonly<Record<string, FloorFact>>,
  narrowing: { service: string; search: string; owners: readonly string[]; language: string },
): Group[] {
  const { service, search, owners, language } = narrowing;
  const serving = departments.filter((each) => service === "" || each.service_types.includes(service));
  const of = new Map(departments.map((each) => [each.id, each]));
  const words = folded(search).split(/\s+/).filter(Boolean);
  const fits = (employee: Employee) => {
    const text = folded(`${employee.name} ${of.get(employee.department ?? "")?.name ?? ""}`).split(/[\s\-–.,«»"]+/);
    return words.every((word) => text.some((each) => each.startsWith(word)));
  };
  const choice = (employee: Employee): Choice => ({ employee, reach: reach(floor[employee.id]) });
  const found = employees.filter((each) => each.active && fits(each));
  const sorted = (choices: Choice[], byRank: boolean) =>
    choices.sort(
      (a, b) =>
        PLACE[a.reach] - PLACE[b.reach] ||
        (byRank ? (a.employee.rank ?? 99) - (b.employee.rank ?? 99) : 0) ||
        a.employee.name.localeCompare(b.employee.name, language),
    );
  if (view === "departments") {
    return serving
      .map((department) => ({
        department,
        choices: sorted(found.filter((each) => each.department === department.id).map(choice), true),
      }))
      .filter((group) => group.choices.length > 0 || words.length === 0);
  }
  const wanted =
    view === "owner"
      ? found.filter((each) => owners.includes(each.id))
      : found.filter((each) => service === "" || serving.some((department) => department.id === each.department));
  const choices = sorted(wanted.map(choice), false);
  return choices.length === 0 ? [] : [{ department: null, choices }];
}

function folded(text: string): string {
  return text.toLowerCase().replaceAll("ё", "е").trim();
}
