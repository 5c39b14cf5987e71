// Words for what became of a request, the same in the list and in the one that is opened.
//
//   partName(part)      "the system text", "tools[2]", "messages[3]": as the client numbers them
//   reasonWords(entry)  of an entry of GET /cache/requests: one short line
//   stateWords(state)   of a request
//   readShare(entry)    of its prompts, 0 to 1; readWords(entry) the same with its unit
//   kReasons            all reasons, by their names in the API, in words

import { share } from "../format.js";

export const kReasons = {
  hit: "all that was known was read",
  nothing_shared: "nothing like it before",
  evicted: "evicted for room",
  expired: "expired",
  flushed: "let go by an administrator",
  no_snapshot: "no snapshot of the state",
  other_cache_key: "under another cache key",
  other_tenant: "another tenant's",
  not_cached: "not cached",
  computing: "computed at the same time",
  unknown: "no longer known",
};

const kStates = {
  queued: "waiting",
  computing: "running",
  finished: "finished",
  failed: "failed",
  cancelled: "cancelled",
};

export function stateWords(state) {
  return kStates[state] ?? state;
}

export function partName(part) {
  if (part === "system") return "the system text";
  if (part === "end") return "the end";
  if (part === "prompt") return "the prompt";
  return part;
}

// A hit says little where little is shared: what is new then says more.
export function reasonWords({ reason, new_from: newFrom, tokens }) {
  if (!reason) return "not looked up yet";
  if (reason !== "hit") return kReasons[reason] ?? reason;
  if (tokens.total === 0 || tokens.read + 1 >= tokens.total) return "read as a whole";
  return newFrom === null || newFrom === undefined ? kReasons.hit : `new from ${partName(newFrom)} on`;
}

export function readShare({ tokens }) {
  return tokens.total > 0 ? tokens.read / tokens.total : 0;
}

export function readWords(entry) {
  return share(readShare(entry));
}
