import { expect, test } from "vitest";

import { picksUpItself, sameNumber } from "./invite";

const invite = (headers: Record<string, string>) => ({ getHeader: (name: string) => headers[name] });

test.each([
  [{ "Call-Info": "<sip:127.0.0.1>;answer-after=0" }, true],
  [{ "Alert-Info": "<http://127.0.0.1>;info=alert-autoanswer" }, true],
  [{ "Alert-Info": "<http://kommutator>;info=alert-autoanswer;delay=0" }, true],
  [{ "Alert-Info": '<http://127.0.0.1>; info="alert-autoanswer"' }, true],
  [{ "Call-Info": "<sip:127.0.0.1>;answer-after=05" }, false],
  [{ "Call-Info": "<sip:127.0.0.1>;answer-after=10" }, false],
  [{ "Alert-Info": "<http://127.0.0.1>;info=alert-internal" }, false],
  [{}, false],
])("%o picks up by itself: %s", (headers, expected) => {
  expect(picksUpItself(invite(headers as Record<string, string>))).toBe(expected);
});

test.each([
  ["+79161234567", "+79161234567", true],
  ["89161234567", "+79161234567", true],
  ["9161234567", "+79161234567", true],
  ["+79161234568", "+79161234567", false],
  ["102", "+79161230102", false],
  ["102", "102", true],
  ["anonymous", null, true],
  ["anonymous", "+79161234567", false],
])("%s on the display is the card's %s: %s", (shown, known, expected) => {
  expect(sameNumber(shown, known)).toBe(expected);
});
