import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { Problem, Unreachable } from "../api/problem";
import { Drafts, type Draft } from "./drafts";

/** A browser's storage. */
class Memory implements Storage {
  private readonly values = new Map<string, string>();

  get length(): number {
    return this.values.size;
  }
  key(at: number): string | null {
    return [...this.values.keys()][at] ?? null;
  }
  getItem(name: string): string | null {
    return this.values.get(name) ?? null;
  }
  setItem(name: string, value: string): void {
    this.values.set(name, value);
  }
  removeItem(name: string): void {
    this.values.delete(name);
  }
  clear(): void {
    this.values.clear();
  }
}

/** A desk that keeps drafts as the real one does, and can be away. */
class Desk {
  readonly drafts = new Map<string, Draft<string>>();
  away = false;
  puts = 0;

  async list(): Promise<Draft<string>[]> {
    this.answer();
    return [...this.drafts.values()];
  }
  async put(draft: Draft<string>): Promise<void> {
    this.answer();
    this.puts += 1;
    const known = this.drafts.get(draft.id);
    if (known !== undefined && known.revision >= draft.revision) throw new Problem(409, "stale", "");
    this.drafts.set(draft.id, draft);
  }
  async remove(id: string): Promise<void> {
    this.answer();
    this.drafts.delete(id);
  }
  private answer(): void {
    if (this.away) throw new Unreachable();
  }
}

const draft = (revision: number, content = "x", id = "d1"): Draft<string> => ({ id, call_id: "c1", revision, content });

let store: Memory;
let desk: Desk;
let drafts: Drafts<string>;

beforeEach(() => {
  vi.useFakeTimers();
  store = new Memory();
  desk = new Desk();
  drafts = new Drafts(store, "1", desk);
});

afterEach(() => {
  vi.useRealTimers();
});

describe("a draft", () => {
  test("is in the browser at once, and at the desk 300 ms after the last keystroke", async () => {
    drafts.keep(draft(1, "К"));
    await vi.advanceTimersByTimeAsync(200);
    drafts.keep(draft(2, "Ко"));
    expect(new Drafts(store, "1", desk).here()).toEqual([draft(2, "Ко")]);
    expect(desk.puts).toBe(0);
    await vi.advanceTimersByTimeAsync(300);
    expect(desk.puts).toBe(1);
    expect(desk.drafts.get("d1")?.content).toBe("Ко");
    expect(drafts.saved).toBe(true);
  });

  test("is at the desk before somebody reads it there", async () => {
    drafts.keep(draft(1, "К"));
    await drafts.flush("d1");
    expect(desk.drafts.get("d1")?.content).toBe("К");
    expect(drafts.saved).toBe(true);
    const reloaded = new Drafts(store, "1", desk);
    reloaded.keep(draft(2, "Ко"));
    reloaded.forget("d1");
    await reloaded.flush("d1");
    expect(desk.drafts.get("d1")?.content).toBe("К");
  });

  test("reaches a desk that was away", async () => {
    desk.away = true;
    drafts.keep(draft(1));
    await vi.advanceTimersByTimeAsync(2000);
    expect(drafts.saved).toBe(false);
    desk.away = false;
    await vi.advanceTimersByTimeAsync(5000);
    expect(desk.drafts.get("d1")).toEqual(draft(1));
    expect(drafts.saved).toBe(true);
  });

  test("typed while the desk was away is sent after a reload", async () => {
    desk.away = true;
    drafts.keep(draft(3, "Котёл"));
    await vi.advanceTimersByTimeAsync(400);
    desk.away = false;
    expect(await new Drafts(store, "1", desk).all()).toEqual([draft(3, "Котёл")]);
    await vi.advanceTimersByTimeAsync(300);
    expect(desk.drafts.get("d1")?.content).toBe("Котёл");
  });

  test("of another browser is found, and of two the newer counts", async () => {
    desk.drafts.set("d1", draft(7, "новее"));
    desk.drafts.set("d2", draft(1, "второй", "d2"));
    drafts.keep(draft(3, "старее"));
    expect(await drafts.all()).toEqual([draft(7, "новее"), draft(1, "второй", "d2")]);
  });

  test("of another user of this browser is not seen", () => {
    drafts.keep(draft(1));
    expect(new Drafts(store, "2", desk).here()).toEqual([]);
  });

  test("closed while the desk was away does not come back", async () => {
    desk.drafts.set("d1", draft(1));
    desk.away = true;
    drafts.keep(draft(2));
    drafts.forget("d1");
    await vi.advanceTimersByTimeAsync(100);
    desk.away = false;
    const reloaded = new Drafts(store, "1", desk);
    expect(await reloaded.all()).toEqual([]);
    await vi.advanceTimersByTimeAsync(100);
    expect(desk.drafts.size).toBe(0);
  });

  test("closed because the call was passed on: its last words are at the desk before", async () => {
    const closing = vi.spyOn(desk, "remove");
    drafts.keep(draft(1, "К"));
    await vi.advanceTimersByTimeAsync(300);
    drafts.keep(draft(2, "Котёл"));
    desk.away = true;
    drafts.forget("d1", true);
    await vi.advanceTimersByTimeAsync(100);
    expect(closing).not.toHaveBeenCalled();
    desk.away = false;
    const put = vi.spyOn(desk, "put");
    await vi.advanceTimersByTimeAsync(1000);
    expect(put).toHaveBeenCalledWith(draft(2, "Котёл"));
    expect(closing).toHaveBeenCalledOnce();
    expect(desk.drafts.size).toBe(0);
  });

  test("closed is not kept again by a late keystroke", async () => {
    drafts.keep(draft(1));
    drafts.forget("d1");
    drafts.keep(draft(2));
    await vi.advanceTimersByTimeAsync(1000);
    expect(desk.drafts.size).toBe(0);
  });

  test("of another tab is told, and is not covered by what this tab kept before", () => {
    const other = new Drafts<string>(store, "1", desk);
    other.keep(draft(5, "новее"));
    drafts.keep(draft(2, "старее"));
    expect(drafts.here()).toEqual([draft(5, "новее")]);
    const key = store.key(0);
    expect(drafts.told({ key, newValue: store.getItem(key!) })).toEqual(draft(5, "новее"));
    other.forget("d1");
    const closed = store.key(0);
    expect(drafts.told({ key: closed, newValue: "1" })).toBe("d1");
    expect(drafts.told({ key: "kommutator.theme", newValue: "dark" })).toBe(null);
  });
});
