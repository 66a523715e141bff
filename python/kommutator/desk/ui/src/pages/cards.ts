/** Changes of the company's cards that are not yet in force. */

import type { components } from "../api/schema";
import type { Department, Employee, ServiceType } from "../api/types";

type Schemas = components["schemas"];

export type Section = "employees" | "departments" | "service_types";
type Whole<Card> = Required<Omit<Card, "pbx">> & { name: string };
export type EmployeeCard = Whole<Schemas["EmployeeCard"]>;
export type DepartmentCard = Whole<Schemas["DepartmentCard"]> & { service_types: string[] };
export type ServiceTypeCard = Whole<Schemas["ServiceTypeCard"]>;

export interface Cards {
  employees: Employee[];
  departments: Department[];
  service_types: ServiceType[];
}

/** Cards by id as they are to be; null: removed. */
export interface Draft {
  employees: Record<string, EmployeeCard | null>;
  departments: Record<string, DepartmentCard | null>;
  service_types: Record<string, ServiceTypeCard | null>;
}

/** The changes as the API takes them. */
export function changesOf(draft: Draft): Draft {
  return {
    employees: { ...draft.employees },
    departments: { ...draft.departments },
    service_types: { ...draft.service_types },
  };
}
