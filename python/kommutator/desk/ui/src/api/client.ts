/** The desk's API, typed by its own document. */

import createClient from "openapi-fetch";

import { problemOf, Unreachable } from "./problem";
import type { paths } from "./schema";

/** A request without an answer for so long has failed. */
const DEADLINE_MS = 15_000;

let csrf = "";
let signedOut: () => void = () => undefined;

/** The token that goes with everything that changes something. */
export function guard(token: string): void {
  csrf = token;
}

/** Called when the desk no longer knows who this is. */
export function onSignedOut(call: () => void): void {
  signedOut = call;
}

/** Like `fetch`, with the session's token and a deadline; throws `Unreachable` and `Problem`. */
export async function ask(request: Request): Promise<Response> {
  if (request.method !== "GET") request.headers.set("X-CSRF-Token", csrf);
  let response: Response;
  try {
    response = await fetch(request, { signal: AbortSignal.timeout(DEADLINE_MS) });
  } catch (error) {
    throw new Unreachable(String(error));
  }
  if (response.ok) return response;
  const problem = await problemOf(response);
  if (problem.status === 401 && problem.code === "not_signed_in") signedOut();
  throw problem;
}

/** The typed client: `(await api.GET("/api/me")).data`. Whatever is not a success is thrown. */
export const api = createClient<paths>({ fetch: ask });

/** What a call of `api` gave. */
export async function got<T>(answer: Promise<{ data?: T }>): Promise<T> {
  return (await answer).data as T;
}

/** The same with the revision that a change of it needs. */
export async function withRevision<T>(
  answer: Promise<{ data?: T; response: Response }>,
): Promise<{ data: T; etag: string }> {
  const { data, response } = await answer;
  return { data: data as T, etag: response.headers.get("ETag") ?? "" };
}

/** A request that the API's document does not have: the live part. */
export async function send<T>(
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<T> {
  const request = new Request(path, {
    method,
    headers: { ...(body === undefined ? {} : { "Content-Type": "application/json" }), ...headers },
    body: body === undefined ? null : JSON.stringify(body),
  });
  const response = await ask(request);
  return (response.status === 204 ? undefined : await response.json()) as T;
}
