/**
 * The system's notifications (Notifications API): for whoever has another window before this one. Switched on by hand in the
 * profile, for this browser; without them everything works as before.
 */

import { go } from "./route.svelte";

const KEPT = "kommutator.notifications";

/** `unknown`: this browser has none, or not at this address; `denied`: it was told never to. */
export type State = "unknown" | "off" | "on" | "denied";

const open = new Map<string, Notification>();
let state = $state<State>(now());

function now(): State {
  if (typeof Notification === "undefined" || !window.isSecureContext) return "unknown";
  if (Notification.permission === "denied") return "denied";
  return Notification.permission === "granted" && localStorage.getItem(KEPT) === "on" ? "on" : "off";
}

/** Whether they are on. */
export function notifications(): State {
  return state;
}

/** Switches them on, by a press of the user: the browser asks him, once. */
export async function switchOn(): Promise<void> {
  localStorage.setItem(KEPT, "on");
  if (Notification.permission === "default") await Notification.requestPermission();
  state = now();
}

/** Switches them off in this browser. */
export function switchOff(): void {
  localStorage.setItem(KEPT, "off");
  state = now();
}

/**
 * Tells, if nobody looks at the page. The same `tag` again, from whichever tab, takes the place of the one before. A click shows
 * the page at `to`.
 */
export function notify(tag: string, title: string, body: string, to: string): void {
  if (state !== "on" || !document.hidden) return;
  try {
    const told = new Notification(title, { body, tag, icon: "/mark.svg" });
    open.set(tag, told);
    told.onclose = () => open.delete(tag);
    told.onclick = () => {
      window.focus();
      go(to);
      told.close();
    };
  } catch {
    state = "unknown"; // some browsers let only their workers tell
  }
}

/** What it was about is over. */
export function unnotify(tag: string): void {
  open.get(tag)?.close();
  open.delete(tag);
}
