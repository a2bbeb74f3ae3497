// The questions asked in this browser. Every change starts from what is stored, as another tab may have asked too.

const KEY = "openrealm.history";
const MOST = 200;

let unstored = []; // where storage is switched off

/** The entries, latest first: {question, answer}, with "" for no answer found. */
export function entries() {
  try {
    const found = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    return Array.isArray(found) ? found.filter(isEntry) : [];
  } catch {
    return unstored;
  }
}

/** Put a question on top, and remove its earlier entry. */
export function remember(question, answer) {
  const others = entries().filter((entry) => entry.question !== question);
  save([{ question, answer }, ...others].slice(0, MOST));
}

export function clear() {
  save([]);
}

/** Call `listener` when another tab changes the history. */
export function onChange(listener) {
  addEventListener("storage", (event) => {
    if (event.key === KEY || event.key === null) listener();
  });
}

function isEntry(entry) {
  return typeof entry?.question === "string" && typeof entry.answer === "string";
}

function save(list) {
  unstored = list;
  try {
    localStorage.setItem(KEY, JSON.stringify(list));
  } catch {
    // Switched off or full: the history lasts until the page is left.
  }
}
