/** Light or dark, as chosen in this browser or as the system says. */

export type Theme = "system" | "light" | "dark";

const KEPT = "kommutator.theme";
const dark = matchMedia("(prefers-color-scheme: dark)");

function first(): Theme {
  const chosen = localStorage.getItem(KEPT);
  return chosen === "light" || chosen === "dark" ? chosen : "system";
}

let theme = $state<Theme>(first());

function apply(): void {
  document.documentElement.dataset["theme"] = theme === "system" ? (dark.matches ? "dark" : "light") : theme;
}

/** The theme chosen. */
export function chosenTheme(): Theme {
  return theme;
}

/** Chooses the theme of this browser. */
export function choose(chosen: Theme): void {
  theme = chosen;
  localStorage.setItem(KEPT, chosen);
  apply();
}

/** Follows the system from now on. */
export function follow(): void {
  dark.addEventListener("change", apply);
  apply();
}
