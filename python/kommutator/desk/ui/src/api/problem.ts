/** Why a request had no result: the desk said no (RFC 9457), or could not be reached. */

export interface FieldProblem {
  path: string;
  message: string;
  code?: string | null;
}

/** The desk's own refusal. */
export class Problem extends Error {
  override readonly name = "Problem";

  constructor(
    readonly status: number,
    readonly code: string,
    readonly detail: string,
    readonly errors: readonly FieldProblem[] = [],
    readonly retryAfterS: number | null = null,
  ) {
    super(`${status} ${code}: ${detail}`);
  }

  /** Whether the same request may succeed later as it is. */
  get passing(): boolean {
    return this.status === 503 || this.status === 502 || this.status === 504;
  }
}

/** No answer: the network, the desk itself, or it took too long. The same request can be sent again. */
export class Unreachable extends Error {
  override readonly name = "Unreachable";
}

/** Whether to try the same again. */
export function passing(error: unknown): boolean {
  return error instanceof Unreachable || (error instanceof Problem && error.passing);
}

/** The refusal that a response tells. */
export async function problemOf(response: Response): Promise<Problem> {
  const after = Number(response.headers.get("Retry-After"));
  const retryAfterS = Number.isFinite(after) && after > 0 ? after : null;
  try {
    const told = (await response.json()) as Partial<Problem>;
    return new Problem(response.status, told.code ?? "unknown", told.detail ?? "", told.errors ?? [], retryAfterS);
  } catch {
    return new Problem(response.status, "unknown", response.statusText, [], retryAfterS);
  }
}
