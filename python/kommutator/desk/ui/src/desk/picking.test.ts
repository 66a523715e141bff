import { describe, expect, test } from "vitest";

import type { FloorFact, Line, Presence } from "../api/live";
import type { Department, Employee } from "../api/types";
import { groups, reach, type View } from "./picking";

const person = (id: string, name: string, department: string | null, rank: number | null = null): Employee => ({
  id,
  name,
  department,
  rank,
  endpoint: "PJSIP/1",
  mobile: null,
  email: null,
  softphone: false,
  active: true,
});
const DEPARTMENTS: Department[] = [
  { id: "sales", name: "Отдел продаж", service_types: ["equipment", "consulting"] },
  { id: "repair", name: "Сервис", service_types: ["repair"] },
];
const EMPLOYEES = [
  person("anna", "Анна Смирнова", "sales", 1),
  person("boris", "Борис Орлов", "sales", 2),
  person("fedor", "Фёдор Кузнецов", "repair"),
  person("vera", "Вера Белова", null),
];
const fact = (employee: string, presence: Presence | null, line: Line | null): FloorFact => ({
  employee,
  presence,
  line,
});
const FLOOR = {
  anna: fact("anna", "present", "busy"),
  boris: fact("boris", "present", "idle"),
  fedor: fact("fedor", "away", "idle"),
};

function names(view: View, narrowing: { service?: string; search?: string; owners?: string[] }) {
  const found = groups(view, EMPLOYEES, DEPARTMENTS, FLOOR, {
    service: "",
    search: "",
    owners: [],
    language: "ru",
    ...narrowing,
  });
  return found.map((group) => [group.department?.id ?? null, group.choices.map((each) => each.employee.id)]);
}

describe("the picker", () => {
  test.each([
    ["present", "idle", "free"],
    ["present", "busy", "soon"],
    ["present", "ringing", "soon"],
    ["present", "wrap_up", "soon"],
    ["present", "unreachable", "absent"],
    ["away", "idle", "absent"],
    ["offline", "idle", "absent"],
    [null, "idle", "free"],
    [null, null, "absent"],
  ] as const)("%s and %s is %s", (presence, line, expected) => {
    expect(reach(fact("x", presence, line))).toBe(expected);
  });

  test("shows departments first, those who are free before those who will be", () => {
    expect(names("departments", {})).toEqual([
      ["sales", ["boris", "anna"]],
      ["repair", ["fedor"]],
    ]);
  });

  test("is narrowed by the service type", () => {
    expect(names("departments", { service: "repair" })).toEqual([["repair", ["fedor"]]]);
    expect(names("all", { service: "equipment" })).toEqual([[null, ["boris", "anna"]]]);
  });

  test("shows everybody, also who has no department", () => {
    expect(names("all", {})).toEqual([[null, ["boris", "anna", "vera", "fedor"]]]);
  });

  test("shows the owner, whatever the service type", () => {
    expect(names("owner", { owners: ["fedor"], service: "equipment" })).toEqual([[null, ["fedor"]]]);
  });

  test("finds by beginnings of words, ё as е, departments too", () => {
    expect(names("all", { search: "кузн фед" })).toEqual([[null, ["fedor"]]]);
    expect(names("departments", { search: "прод" })).toEqual([["sales", ["boris", "anna"]]]);
    expect(names("all", { search: "рнова" })).toEqual([]);
  });
});
