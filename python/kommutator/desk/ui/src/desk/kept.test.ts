import { expect, test } from "vitest";

import { NO_FIELDS } from "./form";
import { flat, whole, type Kept } from "./kept";

const DRAFT: Kept = {
  fields: { ...NO_FIELDS, phone: "+79161234567", topic: "Котёл", manager: "boris" },
  chosen: 7,
  continues: { id: 3, revision: 2 },
  touched: ["topic", "manager"],
  brought: ["phone"],
  decided: true,
  asking: true,
  ending: "us",
  accepting: false,
};

test("a draft comes back as it was sent", () => {
  expect(whole(JSON.parse(JSON.stringify(flat(DRAFT))) as Record<string, unknown>)).toEqual(DRAFT);
});

test("the desk takes texts, numbers, truths and lists of texts only", () => {
  for (const value of Object.values(flat(DRAFT))) {
    const simple = value === null || ["string", "number", "boolean"].includes(typeof value);
    expect(simple || (Array.isArray(value) && value.every((each) => typeof each === "string"))).toBe(true);
  }
});

test("a draft of an older page opens with what it has", () => {
  expect(whole({ topic: "Котёл", _touched: ["topic", "unknown"] })).toEqual({
    fields: { ...NO_FIELDS, topic: "Котёл" },
    chosen: "new",
    continues: null,
    touched: ["topic"],
    brought: [],
    decided: false,
    asking: false,
    ending: null,
    accepting: false,
  });
});
