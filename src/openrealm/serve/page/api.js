// The server's API. Every failure is an Error whose message is one sentence for people.

const KEY = "openrealm.token";

let askForToken = null; // (was refused: bool) => Promise of a token, or of null if people decline
let asking = null; // the promise of a token being asked for: two requests refused at once ask only once

export function onUnauthorised(ask) {
  askForToken = ask;
}

export const info = () => request("v1/info");

/** Answers to one question; `choice` is {system, version, as_of}, each of which may be missing. */
export async function ask(question, choice, signal) {
  const { answers } = await request("v1/ask", { body: { question, ...choice }, signal });
  return answers[0];
}

/** The article around a passage, by as many passages on either side. */
export async function source(passageId, version, around) {
  const where = { passage_id: passageId, around, system: version.system };
  try {
    return await request(`v1/source?${new URLSearchParams({ ...where, version: version.id })}`);
  } catch (error) {
    if (error.status !== 404) throw error;
    return request(`v1/source?${new URLSearchParams(where)}`); // that version is gone; the next may have the passage
  }
}

async function request(path, { body, signal } = {}) {
  for (;;) {
    const token = stored();
    const { status, value } = await exchange(path, body, token, signal);
    if (status === 200) return value;
    if (status !== 401 || !(await newToken(token))) {
      throw Object.assign(new Error(value.error ?? `The server answered with status ${status}.`), { status });
    }
  }
}

/** One request: its status and its JSON. */
async function exchange(path, body, token, signal) {
  const options = { headers: token ? { Authorization: `Bearer ${token}` } : {}, signal, cache: "no-store" };
  if (body) {
    options.method = "POST";
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  try {
    const response = await fetch(path, options);
    const isJson = response.headers.get("Content-Type")?.startsWith("application/json");
    return { status: response.status, value: isJson ? await response.json() : {} };
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The server does not answer; check that it is running, and ask again.");
  }
}

/** Whether there is another token to try than the refused one. */
async function newToken(refused) {
  if (stored() !== refused) return true; // the other request has asked for it meanwhile
  asking ??= askForToken(refused !== "").finally(() => (asking = null));
  const token = await asking;
  if (token !== null) keep(token);
  return token !== null;
}

let unstored = ""; // where storage is switched off

function stored() {
  try {
    return sessionStorage.getItem(KEY) ?? unstored;
  } catch {
    return unstored;
  }
}

function keep(token) {
  unstored = token;
  try {
    sessionStorage.setItem(KEY, token);
  } catch {
    // It lasts until the page is left.
  }
}
