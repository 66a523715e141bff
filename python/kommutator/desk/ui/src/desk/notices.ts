/** What the wizard says of itself, and the router's reasons, in words. */

import { t } from "../base/i18n.svelte";
import { people } from "./people.svelte";
import type { Wizard } from "./wizard";

/** What the wizard's notice says. */
export function noticeText(wizard: Wizard): string {
  const notice = wizard.notice;
  if (notice === null) return "";
  const reasoned: string[] = ["order_refused", "accept_refused", "back_failed"];
  const reason = reasoned.includes(notice.code) ? reasonText(notice.about) : "";
  return t(`notice.${notice.code}`, { who: people.name(notice.about), reason });
}

const REASONS = [
  "wrong_state",
  "not_yours",
  "unknown_call",
  "held_by_phone",
  "not_supported",
  "busy",
  "unreachable",
  "declined",
  "no_answer",
  "unknown_employee",
  "bad_target",
  "bad_number",
  "taken",
  "gone",
  "too_many",
  "too_late",
  "no_router",
  "failed",
  "cancelled",
] as const;

/** A reason of the router or of the desk in words; one that is new here is shown as it is. */
export function reasonText(code: string): string {
  const [, who, what] = /^(employee|client)_(.+)$/.exec(code) ?? [null, "", code];
  const known = REASONS.find((each) => each === what);
  if (known === undefined) return code;
  if (who === "") return t(`reason.${known}`);
  return t(who === "employee" ? "reason.of.me" : "reason.of.client", { reason: t(`reason.${known}`) });
}
