/** Who is on the line, in as few words as there are. */

import type { Card } from "../api/live";
import { t } from "../base/i18n.svelte";
import type { Wizard } from "./wizard";

/** The name, else the company, else the number; `company` and `number` only where the title is not that already. */
export function callerOf(wizard: Wizard, card: Card): { title: string; company: string; number: string } {
  const shown = card.caller_national ?? card.caller ?? t("call.hidden");
  const several = wizard.chosen === "undecided" ? t("found.several", { n: card.matches.length }) : "";
  const { name, company } = wizard.fields;
  const title = name || company || several;
  return { title: title || shown, company: name ? company : "", number: title ? shown : "" };
}
