// Vendors' rules and placings of marks in words.
//
//   inWords(marks)        "mark the end of the system text for 5m" of [{part, lifetime}]
//   rulesInWords(rules)   a list of sentences

import { count, seconds, tokens } from "../format.js";

const kSpots = {
  "tools": "the end of the tools",
  "system": "the end of the system text",
  "messages[0]": "the end of the first message",
  "messages[1]": "the end of the second message",
  "messages[-3]": "the end of the last message but two",
  "messages[-2]": "the end of the last message but one",
  "messages[-1]": "the end of the last message",
  "prompt": "the end of the prompt",
};

const inFull = (value) => seconds(value, { whole: true });

export function inWords(marks) {
  if (marks.length === 0) return "no mark: writing would cost more than it saves";
  return `mark ${marks.map(({ part, lifetime }) => `${kSpots[part] ?? part} for ${lifetime}`).join(" and ")}`;
}

export function rulesInWords(rules) {
  const said = [`Prefixes of ${tokens(rules.minimum)} and more are cached.`];
  if (rules.automatic === "prefix") {
    said.push(rules.step > 1
      ? `By itself, the longest shared prefix is read, in steps of ${tokens(rules.step)}.`
      : "By itself, the longest shared prefix is read.");
    said.push(`It is kept ${inFull(rules.lifetime_seconds)} after its last use.`);
  } else {
    said.push(rules.automatic === "mark"
      ? "By itself, the end of the last message is marked, at the price of writing."
      : "Where a request asks for it as a whole, the end of its last message is marked.");
  }
  if (rules.marks === 0) return said;
  said.push(`A request has at most ${count(rules.marks)} marks, kept for ` +
    `${rules.lifetimes.map((each) => each.name).join(" or ")}` +
    `${rules.renews ? "; each hit begins that anew, for nothing" : ""}.`);
  if (rules.lookback !== null) {
    said.push(`Each mark finds what was written at its own place or one of the ` +
      `${count(rules.lookback - 1)} ends of blocks before it.`);
  }
  return said;
}
