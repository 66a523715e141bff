/** Changes of the company's cards that are not yet in force. */

import type { components } from "../api/schema";
import type { Department, Employee, ServiceType } from "../api/types";

type Schemas = components["schemas"];

export type Section = "employees" | "departments" | "service_types";
/** Fields that are set; the name always is. */
export type EmployeeCard = Schemas["EmployeeCard"] & { name: string };
export type DepartmentCard = Schemas["DepartmentCard"] & { name: string };
export type ServiceTypeCard = Schemas["ServiceTypeCard"] & { name: string };

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
