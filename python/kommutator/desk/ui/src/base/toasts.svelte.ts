/** Short news at the edge of the screen; spoken to those who do not see it. */

export interface Toast {
  id: number;
  text: string;
  kind: "good" | "bad" | "news";
  /** Where a click leads. */
  to?: string | undefined;
  /** What a button does, for as long as it is shown. */
  way?: { says: string; run: () => void } | undefined;
}

const SHOWN_MS = 6000;
const WITH_WAY_MS = 12_000;
const MOST = 4;

let next = 1;
const shown: Toast[] = $state([]);

/** What is shown now, the latest last. */
export function toasts(): Toast[] {
  return shown;
}

/** Tells; failures stay until they are closed. */
export function tell(text: string, kind: Toast["kind"] = "news", to?: string, way?: Toast["way"]): void {
  const id = next++;
  shown.push({ id, text, kind, to, way });
  if (shown.length > MOST) shown.shift();
  if (kind !== "bad") setTimeout(() => dismiss(id), way === undefined ? SHOWN_MS : WITH_WAY_MS);
}

/** Takes one away. */
export function dismiss(id: number): void {
  const at = shown.findIndex((each) => each.id === id);
  if (at >= 0) shown.splice(at, 1);
}
