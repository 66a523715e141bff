/** Hotkeys: who is on the screen says which keys it takes; the last to come has the first word. */

import type { Key } from "./i18n.svelte";

export interface Hotkey {
  /** As `KeyboardEvent.key`, with `Ctrl+` or `Shift+` before it. */
  key: string;
  /** What it does, for the list on `?`. */
  says: Key;
  /** Whether it was used; false lets the key go on. */
  run: () => boolean | void;
  /** Taken only outside of fields. */
  outside?: boolean;
}

interface Layer {
  keys: Hotkey[];
  modal: boolean;
}

const layers: Layer[] = [];

/** Takes these keys until what is returned is called. `modal`: no key goes on to what lies below. */
export function take(keys: Hotkey[], modal = false): () => void {
  const layer = { keys, modal };
  layers.push(layer);
  return () => {
    const at = layers.indexOf(layer);
    if (at >= 0) layers.splice(at, 1);
  };
}

/** All keys that are taken outside of dialogs, each once. */
export function taken(): Hotkey[] {
  const found = new Map<string, Hotkey>();
  for (const layer of layers) if (!layer.modal) for (const each of layer.keys) found.set(each.key, each);
  return [...found.values()];
}

/** Gives a key to who takes it. */
export function pressed(event: KeyboardEvent): void {
  if (event.defaultPrevented || event.isComposing || event.repeat) return;
  const name = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const key = `${event.ctrlKey || event.metaKey ? "Ctrl+" : ""}${event.shiftKey && name.length > 1 ? "Shift+" : ""}${name}`;
  const field = event.target instanceof Element && event.target.closest("input, textarea, select") !== null;
  for (let at = layers.length - 1; at >= 0; at--) {
    const layer = layers[at]!;
    for (const each of layer.keys) {
      if (each.key !== key || (each.outside === true && field)) continue;
      if (each.run() === false) continue;
      event.preventDefault();
      return;
    }
    if (layer.modal) return;
  }
}
