// The server's API, as the views ask it.
//
//   get(path), post(path, body), remove(path)       the reply's JSON; {signal} as last argument
//   request(method, path, {body, headers, signal})  {body, headers, status} of the reply
//   stream(path, {body, onEvent, onOpen, signal})   server-sent events, until they end
//   ApiError {status, message}                      a reply that says no; status 0: no reply
//   serverAddress                                   "http://127.0.0.1:8080", for commands to copy
//   key                                             the API key of this tab
//
// All throw ApiError, or an AbortError when `signal` ended them. A 401 besides dispatches "needed" on
// `key`, upon which the frame asks for one and makes the view anew, so that views need not.

const kRoot = new URL("..", import.meta.url); // this file is /page/api.js
const kKeyName = "reprise-key";

export const serverAddress = kRoot.href.replace(/\/$/, "");

export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.name = "ApiError";
    this.status = status;
  }
}

// Kept in sessionStorage, which ends with the tab and is sent nowhere. Events: "change"; "needed".
class Key extends EventTarget {
  get value() {
    return sessionStorage.getItem(kKeyName);
  }

  set value(value) {
    if (value) sessionStorage.setItem(kKeyName, value);
    else sessionStorage.removeItem(kKeyName);
    this.dispatchEvent(new Event("change"));
  }
}

export const key = new Key();

export async function get(path, { signal } = {}) {
  return (await request("GET", path, { signal })).body;
}

export async function post(path, body, { signal } = {}) {
  return (await request("POST", path, { body, signal })).body;
}

export async function remove(path, { signal } = {}) {
  return (await request("DELETE", path, { signal })).body;
}

export async function request(method, path, { body, headers, signal } = {}) {
  const response = await send(method, path, { body, headers, signal });
  const text = await response.text();
  const { headers: received, status } = response;
  return { body: text === "" ? null : parsed(text), headers: received, status };
}

// `onEvent({event, data})` for each event: data is what its JSON says, or the text where it is none
// ("[DONE]"). `onOpen(headers)` before the first. With `body` it is a POST.
export async function stream(path, { body, headers, onEvent, onOpen, signal } = {}) {
  const method = body === undefined ? "GET" : "POST";
  const response = await send(method, path, {
    body, signal, headers: { accept: "text/event-stream", ...headers },
  });
  onOpen?.(response.headers);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read().catch((error) => {
      throw asApiError(error);
    });
    if (done) return;
    const blocks = (rest + value).split(/\r?\n\r?\n/);
    rest = blocks.pop();
    for (const block of blocks) readEvent(block, onEvent);
  }
}

function readEvent(block, onEvent) {
  let event = "message";
  const data = [];
  for (const line of block.split(/\r?\n/)) {
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "event") event = value;
    if (field === "data") data.push(value);
  }
  if (data.length > 0) onEvent?.({ event, data: parsed(data.join("\n")) });
}

async function send(method, path, { body, headers, signal }) {
  const used = key.value;
  const sent = new Headers(headers);
  if (used) sent.set("authorization", `Bearer ${used}`);
  if (body !== undefined) sent.set("content-type", "application/json");
  let response;
  try {
    response = await fetch(new URL(path.replace(/^\//, ""), kRoot), {
      method, signal, headers: sent, cache: "no-store", credentials: "omit",
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    throw asApiError(error);
  }
  if (response.ok) return response;
  const message = sentenceOf(parsed(await response.text().catch(() => "")), response);
  // A reply to an older key says nothing of the one there is now.
  if (response.status === 401 && used === key.value) {
    sessionStorage.removeItem(kKeyName); // it opens nothing
    key.dispatchEvent(new CustomEvent("needed", { detail: { message, wrong: used !== null } }));
  }
  throw new ApiError(response.status, message);
}

function sentenceOf(reply, response) {
  const said = reply?.error?.message ?? reply?.message ?? reply?.error;
  if (typeof said === "string" && said) return said;
  return `The server answered ${response.status} ${response.statusText}.`;
}

function asApiError(error) {
  if (error.name === "AbortError" || error instanceof ApiError) return error;
  return new ApiError(0, "The server cannot be reached. Is it still running?");
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
