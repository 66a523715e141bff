/** Who is signed in, and what company this is. */

import { api, got, guard, onSignedOut } from "../api/client";
import { Problem } from "../api/problem";
import type { Me, Role } from "../api/types";
import { inZone } from "./time.svelte";

const ROLES: readonly Role[] = ["operator", "manager", "supervisor", "administrator"];

class Session {
  me = $state<Me | null>(null);
  company = $state("");
  /** The two letters of the company's country. */
  country = $state("RU");
  /** Whether virtual phones are there to be played with. */
  phones = $state(false);
  /** `unknown` until the desk has been asked; `unreachable` when it does not answer. */
  state = $state<"unknown" | "signed_out" | "signed_in" | "unreachable">("unknown");

  /** Finds out who this is. */
  async begin(): Promise<void> {
    onSignedOut(() => this.out());
    if (!document.cookie.includes("kommutator-csrf=")) {
      this.state = "signed_out";
      return;
    }
    try {
      this.enter(await got(api.GET("/api/me")));
    } catch (error) {
      this.state = error instanceof Problem && error.status === 401 ? "signed_out" : "unreachable";
    }
  }

  /** Signs in. Throws what the desk says against it. */
  async signIn(login: string, password: string): Promise<void> {
    this.enter(await got(api.POST("/api/sign-in", { body: { login, password } })));
  }

  /** Signs out, here or everywhere. */
  async signOut(everywhere = false): Promise<void> {
    await (everywhere ? api.POST("/api/sign-out-everywhere") : api.POST("/api/sign-out"));
    this.out();
  }

  /** Takes what the desk says of the user. */
  enter(me: Me): void {
    guard(me.csrf);
    this.me = me;
    this.state = "signed_in";
  }

  /** Learns the company's name and zone. */
  async learn(): Promise<void> {
    const company = await got(api.GET("/api/company"));
    inZone(company.timezone);
    this.company = company.name;
    this.country = company.country;
    this.phones = company.virtual_phones;
  }

  /** Whether the user may what this role may. */
  may(role: Role): boolean {
    return this.me !== null && ROLES.indexOf(this.me.role) >= ROLES.indexOf(role);
  }

  private out(): void {
    this.me = null;
    this.state = "signed_out";
  }
}

export const session = new Session();
