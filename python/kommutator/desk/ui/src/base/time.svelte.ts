/** Times as people read them: in the company's zone, and a clock that ticks once a second for all that counts. */

import { lang, t } from "./i18n.svelte";

let zone = $state("UTC");
let now = $state(Date.now());
/** How far this machine's clock is behind the desk's, in milliseconds. */
let behind = 0;

/** The company's zone, from now on. */
export function inZone(name: string): void {
  zone = name;
}

/** Takes the desk's clock for right: `at` is its time now. */
export function setClock(at: string | null): void {
  const told = at === null ? Number.NaN : Date.parse(at);
  if (Number.isFinite(told)) behind = told - Date.now();
  now = Date.now() + behind;
}

/** Lets the clock tick; returns what stops it. */
export function tick(): () => void {
  const timer = setInterval(() => (now = Date.now() + behind), 1000);
  return () => clearInterval(timer);
}

/** Seconds since then, not negative. */
export function since(at: string | null | undefined): number {
  return at ? Math.max(0, Math.floor((now - Date.parse(at)) / 1000)) : 0;
}

/** The moment as milliseconds of UTC. */
export function clock(): number {
  return now;
}

/** `0:42`, `12:05`, `1:02:03`. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const two = (n: number) => String(n).padStart(2, "0");
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

/** `3 мин`, `2 ч`: how old a fact is. */
export function age(seconds: number): string {
  if (seconds < 60) return t("age.s", { n: Math.floor(seconds) });
  if (seconds < 3600) return t("age.m", { n: Math.floor(seconds / 60) });
  if (seconds < 86400) return t("age.h", { n: Math.floor(seconds / 3600) });
  return t("age.d", { n: Math.floor(seconds / 86400) });
}

function format(at: string, options: Intl.DateTimeFormatOptions): string {
  return new Intl.DateTimeFormat(lang() === "ru" ? "ru-RU" : "en-GB", { timeZone: zone, ...options }).format(
    new Date(at),
  );
}

/** `14:05` today, `18 нояб., 14:05` on another day, with the year in another year. */
export function moment(at: string | null | undefined): string {
  if (!at) return "";
  const time: Intl.DateTimeFormatOptions = { hour: "2-digit", minute: "2-digit" };
  const today = new Date(now).toISOString();
  const day: Intl.DateTimeFormatOptions = { year: "numeric", month: "2-digit", day: "2-digit" };
  if (format(at, day) === format(today, day)) return format(at, time);
  const sameYear = format(at, { year: "numeric" }) === format(today, { year: "numeric" });
  return format(at, { day: "numeric", month: "short", ...(sameYear ? {} : { year: "numeric" }), ...time });
}

/** Date and time in full, with seconds. */
export function exact(at: string): string {
  return format(at, { dateStyle: "long", timeStyle: "medium" });
}

/** `14:05:09`. */
export function timeOfDay(at: string): string {
  return format(at, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
}

/** The name of the company's zone. */
export function zoneName(): string {
  return zone;
}

/** A day of the company's zone (`2026-11-18`) as the moment at which it begins; null for none. */
export function dayBegins(day: string): string | null {
  if (!/^\d{4}-\d\d-\d\d$/.test(day)) return null;
  const utc = Date.parse(`${day}T00:00:00Z`);
  const at = (guess: number) => utc - offset(guess);
  return new Date(at(at(utc))).toISOString();
}

/** How far the company's zone is ahead of UTC at that moment, in milliseconds. */
function offset(at: number): number {
  const parts = new Intl.DateTimeFormat("en-US", {
    timeZone: zone,
    hourCycle: "h23",
    year: "numeric",
    month: "numeric",
    day: "numeric",
    hour: "numeric",
    minute: "numeric",
    second: "numeric",
  }).formatToParts(at);
  const of = (type: string) => Number(parts.find((each) => each.type === type)?.value);
  const there = Date.UTC(of("year"), of("month") - 1, of("day"), of("hour"), of("minute"), of("second"));
  return there - Math.floor(at / 1000) * 1000;
}
