/** What an incoming call says of itself. */

/** The part of JsSIP's `IncomingRequest` that is read here. */
export interface Invite {
  getHeader(name: string): string | undefined;
}

/**
 * Whether the PBX asks the phone to pick up by itself, as it does on the desk's order to answer: `Call-Info: <uri>;answer-after=0`
 * or `Alert-Info: <uri>;info=alert-autoanswer`. Only our PBX can call here, and it sends these of its own accord alone.
 */
export function picksUpItself(invite: Invite): boolean {
  return (
    /;\s*answer-after\s*=\s*0\b/i.test(invite.getHeader("Call-Info") ?? "") ||
    /;\s*info\s*=\s*"?alert-autoanswer\b/i.test(invite.getHeader("Alert-Info") ?? "")
  );
}

/** Whether a number on the phone's display is that of a card; numbers may be in any spelling, with or without the country. */
export function sameNumber(shown: string, known: string | null): boolean {
  const [one, other] = [digits(shown), digits(known ?? "")];
  if (one === "" || other === "") return one === other;
  const least = Math.min(one.length, other.length);
  return least < 7 ? one === other : one.slice(-Math.min(least, 10)) === other.slice(-Math.min(least, 10));
}

function digits(text: string): string {
  return text.replace(/\D/g, "");
}
