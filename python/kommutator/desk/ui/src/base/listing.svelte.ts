/** A list that the desk gives page by page. */

import { reasonText } from "../words/reasons";

type Page<T> = { items: T[]; next?: string | null };

export class Listing<T> {
  items = $state.raw<T[]>([]);
  next = $state<string | null>(null);
  /** Whether the first page is on its way. */
  loading = $state(true);
  /** Why there is nothing newer; empty when all is well. */
  failed = $state("");
  private wish = 0;

  constructor(private readonly page: (after: string | undefined) => Promise<Page<T>>) {}

  /** Reads from the beginning; what is shown stays until the answer. */
  async load(): Promise<void> {
    const wish = ++this.wish;
    this.loading = true;
    await this.take(wish, undefined);
  }

  /** Reads on. */
  async more(): Promise<void> {
    if (this.next !== null) await this.take(++this.wish, this.next);
  }

  private async take(wish: number, after: string | undefined): Promise<void> {
    try {
      const { items, next } = await this.page(after);
      if (wish !== this.wish) return;
      this.items = after === undefined ? items : [...this.items, ...items];
      this.next = next ?? null;
      this.failed = "";
    } catch (error) {
      if (wish === this.wish) this.failed = reasonText(error);
    } finally {
      if (wish === this.wish) this.loading = false;
    }
  }
}
