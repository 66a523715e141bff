/**
 * Drafts of wizards: in this browser from the first keystroke, at the desk 300 ms later.
 *
 * The browser's copy outlives a reload and a desk that is down; the desk's copy outlives the browser. Of the two the one
 * with the higher revision counts. A draft that was closed is remembered as such until the desk has forgotten it too.
 */

import { passing } from "../api/problem";

export interface Draft<T> {
  id: string;
  call_id: string | null;
  revision: number;
  content: T;
}

export interface DraftsAtDesk<T> {
  list(): Promise<Draft<T>[]>;
  put(draft: Draft<T>): Promise<void>;
  remove(id: string): Promise<void>;
}

const AFTER_MS = 300;
const AGAIN_MS = [1000, 2000, 5000, 10_000, 30_000];
const CLOSED_KEPT_MS = 7 * 24 * 3600 * 1000;

interface Slot<T> {
  state: "open" | "closed";
  timer: ReturnType<typeof setTimeout> | null;
  tries: number;
  /** What is to be at the desk before the wizard is closed there. */
  last: Draft<T> | null;
}

export class Drafts<T> {
  private readonly slots = new Map<string, Slot<T>>();

  /** `space` keeps users of one browser apart; `changed` is called when what is unsaved changes. */
  constructor(
    private readonly store: Storage,
    private readonly space: string,
    private readonly desk: DraftsAtDesk<T>,
    private readonly changed: () => void = () => undefined,
  ) {}

  /** Whether everything typed is at the desk. */
  get saved(): boolean {
    return [...this.slots.values()].every((each) => each.timer === null);
  }

  /** Keeps what was typed: here at once, at the desk soon. */
  keep(draft: Draft<T>): void {
    if (this.slots.get(draft.id)?.state === "closed") return;
    this.write(draft);
    this.schedule(draft.id, AFTER_MS, true);
  }

  /** Sends at once what waits to be sent, for somebody who is about to read it at the desk. */
  async flush(id: string): Promise<void> {
    const slot = this.slots.get(id);
    if (slot !== undefined) {
      if (slot.state === "closed" || slot.timer === null) return;
      clearTimeout(slot.timer);
    }
    await this.sync(id);
  }

  /**
   * The wizard is closed: forgotten here and at the desk. `deliver`: what was typed last is at the desk before, for whoever has
   * the call now.
   */
  forget(id: string, deliver = false): void {
    const slot = this.slot(id);
    slot.last = deliver && slot.timer !== null ? this.read(id) : slot.last;
    this.tryStore(() => this.store.setItem(this.closedKey(id), String(Date.now())));
    this.tryStore(() => this.store.removeItem(this.key(id)));
    slot.state = "closed";
    this.schedule(id, 0, true);
  }

  /** Whether a wizard of this id was closed in this browser. */
  closed(id: string): boolean {
    return this.store.getItem(this.closedKey(id)) !== null;
  }

  /** What this browser has, at once. */
  here(): Draft<T>[] {
    const found: Draft<T>[] = [];
    for (const name of this.names(this.key(""))) {
      const draft = this.read(name.slice(this.key("").length));
      if (draft !== null) found.push(draft);
    }
    return found;
  }

  /** All open drafts, the desk's and this browser's; what the desk lacks is sent to it. Throws when it cannot be asked. */
  async all(): Promise<Draft<T>[]> {
    const closed = new Set(this.names(this.closedKey("")).map((name) => name.slice(this.closedKey("").length)));
    const found = new Map(this.here().map((each) => [each.id, each]));
    const there = await this.desk.list();
    for (const each of there) {
      if (closed.has(each.id)) {
        this.slot(each.id).state = "closed";
        this.schedule(each.id, 0, true);
        continue;
      }
      const mine = found.get(each.id);
      if (mine === undefined || mine.revision < each.revision) {
        found.set(each.id, each);
        this.write(each);
      }
    }
    for (const id of closed) if (!there.some((each) => each.id === id)) this.forgotten(id);
    const known = new Map(there.map((each) => [each.id, each.revision]));
    for (const each of found.values()) {
      if ((known.get(each.id) ?? -1) < each.revision) this.schedule(each.id, AFTER_MS, true);
    }
    return [...found.values()];
  }

  /** What another tab did, by the storage's event: a draft that it kept, or the id of one that it closed. */
  told(event: { key: string | null; newValue: string | null }): Draft<T> | string | null {
    const { key, newValue } = event;
    if (key === null || newValue === null) return null;
    if (key.startsWith(this.closedKey(""))) return key.slice(this.closedKey("").length);
    return key.startsWith(this.key("")) ? this.read(key.slice(this.key("").length)) : null;
  }

  private schedule(id: string, ms: number, fresh: boolean): void {
    const slot = this.slot(id);
    if (slot.timer !== null) clearTimeout(slot.timer);
    if (fresh) slot.tries = 0;
    slot.timer = setTimeout(() => void this.sync(id), ms);
    this.changed();
  }

  private async sync(id: string): Promise<void> {
    const slot = this.slot(id);
    const timer = slot.timer;
    const closing = slot.state === "closed";
    const draft = closing ? null : this.read(id);
    try {
      if (closing) await this.close(id, slot);
      else if (draft !== null) await this.desk.put(draft);
    } catch (error) {
      if (passing(error) && slot.timer === timer) {
        this.schedule(id, AGAIN_MS[Math.min(slot.tries, AGAIN_MS.length - 1)]!, false);
        slot.tries += 1;
        return;
      }
    }
    if (closing) this.forgotten(id);
    if (slot.timer === timer) slot.timer = null;
    this.changed();
  }

  private async close(id: string, slot: Slot<T>): Promise<void> {
    if (slot.last !== null) {
      await this.desk.put(slot.last).catch((error: unknown) => {
        if (passing(error)) throw error;
      });
      slot.last = null;
    }
    await this.desk.remove(id);
  }

  /** The desk has forgotten it. The mark stays for a week, in case another tab brings the draft back. */
  private forgotten(id: string): void {
    const at = Number(this.store.getItem(this.closedKey(id)));
    if (Date.now() - at > CLOSED_KEPT_MS) this.tryStore(() => this.store.removeItem(this.closedKey(id)));
  }

  private slot(id: string): Slot<T> {
    let slot = this.slots.get(id);
    if (slot === undefined) this.slots.set(id, (slot = { state: "open", timer: null, tries: 0, last: null }));
    return slot;
  }

  private read(id: string): Draft<T> | null {
    try {
      const text = this.store.getItem(this.key(id));
      return text === null ? null : (JSON.parse(text) as Draft<T>);
    } catch {
      return null;
    }
  }

  /** A late write of this tab never covers what another tab of this browser has kept since. */
  private write(draft: Draft<T>): void {
    const known = this.read(draft.id);
    if (known !== null && known.revision > draft.revision) return;
    this.tryStore(() => this.store.setItem(this.key(draft.id), JSON.stringify(draft)));
  }

  /** A browser whose storage is full or forbidden still has the desk's copy. */
  private tryStore(write: () => void): void {
    try {
      write();
    } catch (error) {
      console.warn("the browser keeps no drafts", error);
    }
  }

  private names(prefix: string): string[] {
    const found: string[] = [];
    for (let at = 0; at < this.store.length; at++) {
      const name = this.store.key(at);
      if (name?.startsWith(prefix)) found.push(name);
    }
    return found;
  }

  private key(id: string): string {
    return `kommutator.draft.${this.space}.${id}`;
  }

  private closedKey(id: string): string {
    return `kommutator.closed.${this.space}.${id}`;
  }
}
