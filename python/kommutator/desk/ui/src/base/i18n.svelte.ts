/** The interface's words, in the language chosen. */

import { en } from "../words/en";
import { ru } from "../words/ru";

export type Language = "ru" | "en";
export type Key = keyof typeof ru;
type Values = Record<string, string | number>;

const WORDS: Record<Language, Record<Key, string>> = { ru, en };
const KEPT = "kommutator.language";

function first(): Language {
  const chosen = localStorage.getItem(KEPT);
  if (chosen === "ru" || chosen === "en") return chosen;
  return navigator.languages.some((each) => each.startsWith("ru")) || navigator.languages.length === 0 ? "ru" : "en";
}

let language = $state<Language>(first());

/** The language chosen. */
export function lang(): Language {
  return language;
}

/** Chooses the language of this browser. */
export function speak(chosen: Language): void {
  language = chosen;
  localStorage.setItem(KEPT, chosen);
  document.documentElement.lang = chosen;
}

/**
 * The words of `key`. `{name}` is filled from `values`; `{n|звонок|звонка|звонков}` (English: two forms) is the form that
 * goes with the number `n`.
 */
export function t(key: Key, values: Values = {}): string {
  return WORDS[language][key].replace(/\{(\w+)((?:\|[^|}]*)*)\}/g, (_, name: string, forms: string) => {
    const value = values[name];
    if (forms === "") return value === undefined ? "" : String(value);
    const each = forms.slice(1).split("|");
    return each[form(Number(value))] ?? each[each.length - 1] ?? "";
  });
}

function form(n: number): number {
  const category = new Intl.PluralRules(language).select(n);
  if (language === "en") return category === "one" ? 0 : 1;
  return category === "one" ? 0 : category === "few" ? 1 : 2;
}
