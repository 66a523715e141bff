/** Departments, employees and service types of the active version, and the live facts of everybody. */

import type { FloorFact } from "../api/live";
import type { Department, Employee, ServiceType } from "../api/types";

class People {
  employees = $state.raw<Employee[]>([]);
  departments = $state.raw<Department[]>([]);
  serviceTypes = $state.raw<ServiceType[]>([]);
  floor = $state<Record<string, FloorFact>>({});

  private readonly byId = $derived(new Map(this.employees.map((each) => [each.id, each])));
  private readonly departmentsById = $derived(new Map(this.departments.map((each) => [each.id, each])));
  private readonly servicesById = $derived(new Map(this.serviceTypes.map((each) => [each.id, each])));

  /** A fact that changed. */
  fact(fact: FloorFact): void {
    this.floor[fact.employee] = { ...this.floor[fact.employee], ...fact };
  }

  /** All facts anew. */
  facts(all: FloorFact[]): void {
    this.floor = Object.fromEntries(all.map((each) => [each.employee, each]));
  }

  /** What the employee is called; an id that is unknown stands for itself. */
  name(id: string | null | undefined): string {
    return id ? (this.byId.get(id)?.name ?? id) : "";
  }

  employee(id: string): Employee | undefined {
    return this.byId.get(id);
  }

  departmentName(id: string | null | undefined): string {
    return id ? (this.departmentsById.get(id)?.name ?? id) : "";
  }

  serviceName(id: string | null | undefined): string {
    return id ? (this.servicesById.get(id)?.name ?? id) : "";
  }

  /** The departments that provide a service type; all of them when none is chosen. */
  providing(serviceType: string): Department[] {
    if (serviceType === "") return this.departments;
    return this.departments.filter((each) => each.service_types.includes(serviceType));
  }
}

export const people = new People();
