/** Virtual phones as the desk tells them, asked anew every second while somebody looks, and at once after what was done. */

import { api, got } from "../api/client";
import { Problem } from "../api/problem";
import type { components } from "../api/schema";
import { tell } from "../base/toasts.svelte";
import { reasonText } from "../words/reasons";

type Schemas = components["schemas"];
export type Phone = Schemas["Phone"];
export type Caller = Schemas["Caller"];
export type Story = Schemas["CallerStory"];
export type Happening = Story["happened"][number];

const EVERY_MS = 1000;
/** So long after something was done, the router has mostly answered it. */
const ANSWERED_MS = 250;
const KEPT = "kommutator.caller";

class Phones {
  all = $state.raw<Phone[]>([]);
  callers = $state.raw<Caller[]>([]);
  /** The company's numbers, with the schemes that they begin with. */
  numbers = $state.raw<{ number: string; scheme: string }[]>([]);
  /** The caller in hand: one whom this page let call, or took over. */
  story = $state.raw<Story | null>(null);
  /** `none`: no PBX here is simulated; `lost`: it does not answer now. */
  state = $state<"loading" | "there" | "none" | "lost">("loading");

  private call = sessionStorage.getItem(KEPT);
  private timer: ReturnType<typeof setTimeout> | undefined;
  private looking = false;
  private asked = 0;

  /** Looks until what is returned is called. */
  look(): () => void {
    this.looking = true;
    const seen = () => void this.refresh();
    document.addEventListener("visibilitychange", seen);
    void this.refresh();
    return () => {
      this.looking = false;
      clearTimeout(this.timer);
      document.removeEventListener("visibilitychange", seen);
    };
  }

  /** Does something with a phone or a caller, and looks at what came of it. */
  async act(work: () => Promise<unknown>): Promise<void> {
    try {
      await work();
    } catch (error) {
      tell(reasonText(error), "bad");
    }
    await this.refresh(ANSWERED_MS);
  }

  /** Lets somebody call; without a number, he withholds it. */
  async place(did: string, caller: string | null): Promise<void> {
    await this.act(async () =>
      this.choose((await got(api.POST("/api/phones/calls", { body: { did, caller } }))).call_id),
    );
  }

  /** Takes this caller in hand. */
  choose(call: string | null): void {
    this.call = call;
    if (call === null) sessionStorage.removeItem(KEPT);
    else sessionStorage.setItem(KEPT, call);
    if (this.story?.call_id !== call) this.story = null;
    void this.refresh();
  }

  /** Takes all of them in hand, or leaves them to themselves. */
  async hands(by_hand: boolean, endpoints: string[]): Promise<void> {
    await this.act(() =>
      Promise.all(
        endpoints.map((endpoint) =>
          api.PUT("/api/phones/{endpoint}/hand", { params: { path: { endpoint } }, body: { by_hand } }),
        ),
      ),
    );
  }

  private async refresh(again_ms = EVERY_MS): Promise<void> {
    clearTimeout(this.timer);
    if (!this.looking || document.hidden) return;
    const asked = ++this.asked;
    const call = this.story?.hears === "gone" ? null : this.call;
    const [there, story] = await Promise.all([
      got(api.GET("/api/phones")).catch(this.failed),
      call === null ? undefined : this.told(call),
    ]);
    // An answer that was overtaken is old, whatever it says.
    if (asked !== this.asked) return;
    if (there !== undefined) {
      this.state = "there";
      this.all = there.phones;
      this.callers = there.callers;
      this.numbers = there.numbers.map((number) => ({ number, scheme: there.schemes[number] ?? "" }));
    }
    if (story !== undefined && call === this.call) {
      this.story = story;
      if (story === null) this.choose(null);
    }
    if (this.looking && this.state !== "none") this.timer = setTimeout(() => void this.refresh(), again_ms);
  }

  private async told(call: string): Promise<Story | null | undefined> {
    try {
      return await got(api.GET("/api/phones/calls/{call_id}", { params: { path: { call_id: call } } }));
    } catch (error) {
      return error instanceof Problem && error.status === 404 ? null : undefined;
    }
  }

  private readonly failed = (error: unknown): undefined => {
    this.state = error instanceof Problem && error.status === 404 ? "none" : "lost";
  };
}

export const phones = new Phones();
