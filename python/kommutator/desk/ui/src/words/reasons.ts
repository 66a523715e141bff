/** Failures in words. */

import { Problem } from "../api/problem";
import { t, type Key } from "../base/i18n.svelte";

const CODES = {
  conflict: "problem.conflict",
  forbidden: "problem.forbidden",
  not_found: "problem.not_found",
  sign_in_refused: "problem.sign_in_refused",
  sign_in_throttled: "problem.throttled",
  bad_number: "problem.bad_number",
  company_invalid: "problem.company_invalid",
  no_rollback: "problem.no_rollback",
  no_employee: "problem.no_employee",
  account_taken: "problem.account_taken",
  last_administrator: "problem.last_administrator",
  password_length: "problem.password_length",
  pbx_unreachable: "problem.pbx",
  database_unreachable: "problem.database",
  exchange_unreachable: "problem.exchange",
} satisfies Record<string, Key>;

/** Why something failed; a refusal without words of ours is told in the desk's. */
export function reasonText(error: unknown): string {
  if (!(error instanceof Problem)) return t("unreachable");
  const known = (CODES as Record<string, Key>)[error.code];
  if (known !== undefined) return t(known);
  const first = error.errors[0];
  return first === undefined ? error.detail || error.code : `${error.detail}: ${first.path} – ${first.message}`;
}
