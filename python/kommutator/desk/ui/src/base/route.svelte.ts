/** The address bar as state: which page is open, and with what arguments. */

let path = $state(location.pathname);
let query = $state(location.search);

addEventListener("popstate", read);

function read(): void {
  path = location.pathname;
  query = location.search;
}

/** The path's parts: `/clients/7` is `["clients", "7"]`. */
export function parts(): string[] {
  return path
    .split("/")
    .filter((each) => each !== "")
    .map(decodeURIComponent);
}

/** What stands after the `?`. */
export function argument(name: string): string {
  return new URLSearchParams(query).get(name) ?? "";
}

/** Opens a page. `replace`: without a new entry in the history. */
export function go(to: string, replace = false): void {
  if (to === location.pathname + location.search) return;
  if (replace) history.replaceState(null, "", to);
  else history.pushState(null, "", to);
  read();
}

/** Sets arguments of the page that is open; empty ones are left out. */
export function argue(values: Record<string, string>): void {
  const next = new URLSearchParams(query);
  for (const [name, value] of Object.entries(values)) {
    if (value === "") next.delete(name);
    else next.set(name, value);
  }
  const text = next.toString();
  go(path + (text === "" ? "" : `?${text}`), true);
}

/** Makes a click on a link of ours open the page here, and leaves clicks that ask for a new tab to the browser. */
export function followed(event: MouseEvent): void {
  if (event.defaultPrevented || event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey)
    return;
  const link = (event.target as Element).closest("a");
  if (link === null || link.target !== "" || link.origin !== location.origin || link.hasAttribute("download")) return;
  if (link.pathname.startsWith("/api/")) return;
  event.preventDefault();
  go(link.pathname + link.search);
}
