/** What is typed into the search field of each wizard, and what it found. */

import { api, got } from "../api/client";
import type { Client } from "../api/types";
import { t } from "../base/i18n.svelte";
import type { Wizard } from "./wizard";

const AFTER_MS = 200;
const FEWEST = 3;

interface Search {
  text: string;
  found: Client[] | null;
  failed: boolean;
  searching: boolean;
}

class Searches {
  private readonly byWizard = $state<Record<string, Search>>({});
  private timer: ReturnType<typeof setTimeout> | undefined;

  /** The search of a wizard: what was typed, at first the number; what it found, at first what the call brought. */
  of(wizard: Wizard): Search & { says: string; matches: Client[] } {
    const search = this.byWizard[wizard.id] ?? {
      text: wizard.card?.caller ?? wizard.fields.phone,
      found: null,
      failed: false,
      searching: false,
    };
    const matches = search.found ?? wizard.card?.matches ?? [];
    const known = search.found !== null || wizard.card !== null;
    const says = search.failed
      ? t("unreachable")
      : search.searching
        ? t("found.searching")
        : !known
          ? ""
          : matches.length === 0
            ? t("found.none")
            : t("found.several", { n: matches.length });
    return { ...search, says, matches };
  }

  /** What is typed now; searched when nothing was typed for 0.2 seconds. */
  type(wizard: Wizard, text: string): void {
    const enough = text.trim().length >= FEWEST;
    const found = enough ? (this.byWizard[wizard.id]?.found ?? null) : null;
    this.byWizard[wizard.id] = { text, found, failed: false, searching: enough };
    clearTimeout(this.timer);
    if (enough) this.timer = setTimeout(() => void this.run(wizard.id, text), AFTER_MS);
  }

  private async run(id: string, text: string): Promise<void> {
    let found: Client[] | null = null;
    try {
      found = (await got(api.GET("/api/clients", { params: { query: { q: text.trim(), limit: 20 } } }))).items;
    } catch {
      found = null;
    }
    const now = this.byWizard[id];
    if (now?.text !== text) return;
    this.byWizard[id] = { text, found: found ?? now.found, failed: found === null, searching: false };
  }
}

export const searches = new Searches();
