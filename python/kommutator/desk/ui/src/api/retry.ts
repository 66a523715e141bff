/** The same request again, until it has an answer. */

import { passing, Problem } from "./problem";

const wait = (ms: number) => new Promise<void>((done) => setTimeout(done, ms));

/**
 * Tries until `attempt` succeeds or is refused for good. Between tries 0.5, 1, 2 … at most 15 seconds, or what the desk
 * asks for. Gives up, throwing the last error, after `forMs`.
 */
export async function persistently<T>(attempt: () => Promise<T>, forMs: number): Promise<T> {
  const until = performance.now() + forMs;
  for (let pause = 500; ; pause = Math.min(pause * 2, 15_000)) {
    try {
      return await attempt();
    } catch (error) {
      if (!passing(error)) throw error;
      const told = error instanceof Problem && error.retryAfterS !== null ? error.retryAfterS * 1000 : 0;
      const next = Math.max(pause, told);
      if (performance.now() + next > until) throw error;
      await wait(next);
    }
  }
}
