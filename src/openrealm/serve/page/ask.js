// The ask page. What is asked is in the address (#q=…&with=…&beside=…&day=…): reloading, going back and bookmarks work.

import * as api from "./api.js";
import * as history from "./history.js";
import { answerView, articleView, capitalised, comparison, element, failureView, oneLine, passagesOf } from "./view.js";

const $ = (id) => document.getElementById(id);
const AROUND = [20, 60, 180]; // passages on either side of the cited one that a document shows, step by step

let info = null;
let asked = new AbortController(); // of the question being answered; a new question aborts it
let recalled = -1; // the entry of the history in the question box, or -1
let opened = null; // the passage whose document was opened last
let draft = ""; // what was typed before the history was looked through

// ---- asking

/** {question, left, right, day}: what the address says. left and right are values of the menus, or "" for the default
 *  system and for no comparison; day is a date such as "2019-06-01", or "" for passages of any day. */
function addressed() {
  const values = new URLSearchParams(location.hash.slice(1));
  const [question, left, right, day] = ["q", "with", "beside", "day"].map((name) => values.get(name) ?? "");
  return { question, left, right, day };
}

function submit() {
  const question = oneLine($("question").value);
  if (!question) {
    $("question").focus();
    return;
  }
  const values = new URLSearchParams({ q: question });
  if ($("system").selectedIndex > 0) values.set("with", $("system").value);
  if ($("other").value) values.set("beside", $("other").value);
  if ($("day").value) values.set("day", $("day").value);
  if (location.hash === `#${values}`) answer();
  else location.hash = values; // and "hashchange" answers
}

async function answer() {
  const { question, left, right, day } = addressed();
  asked.abort();
  asked = new AbortController();
  const { signal } = asked;
  recalled = -1;
  showError("");
  $("question").value = question;
  document.title = question ? `${question} – openrealm` : "openrealm";
  if (!question) {
    $("status").textContent = "";
    $("answers").replaceChildren();
    $("answers").setAttribute("aria-busy", "false");
    return;
  }
  $("answers").setAttribute("aria-busy", "true");
  $("status").textContent = "Reading passages …";
  $("status").className = "";
  try {
    if (info === null) await loadInfo();
    const choices = right ? [left, right] : [left];
    setChoices(left, right, day);
    const asOf = day && { as_of: day };
    const answers = choices.map((choice) => api.ask(question, { ...chosen(choice), ...asOf }, signal));
    const outcomes = await Promise.allSettled(answers);
    if (signal.aborted) return;
    show(question, outcomes, choices, day);
  } catch (error) {
    if (signal.aborted) return;
    $("status").textContent = "";
    $("answers").replaceChildren();
    showError(error.message);
  }
  $("answers").setAttribute("aria-busy", "false");
}

/** Show the answers to a question as of a day, one for each choice. Throws why there is none if there is one choice. */
function show(question, outcomes, choices, day) {
  const answers = outcomes.map(({ value }) => value);
  const failed = outcomes.find(({ status }) => status === "rejected");
  if (failed && outcomes.length === 1) throw failed.reason;
  const passages = answers.flatMap((one) => (one ? passagesOf(one) : []));
  const utilityScale = Math.max(1, ...passages.map((passage) => Math.abs(passage.retrieval_utility ?? 0)));
  const titles = choices.map(titleOf);
  const views = outcomes.map(({ value, reason }, i) => {
    if (!value) return failureView(titles[i], reason.message);
    const title = choices.length > 1 ? titles[i] : "";
    const others = answers[1 - i] && choices.length > 1 ? placesIn(titles[1 - i], answers[1 - i]) : null;
    return answerView(value, { title, day, threshold: info.threshold, utilityScale, others }, openDocument);
  });
  const inCommon = answers.length > 1 && !failed ? comparison(...answers) : "";
  $("answers").replaceChildren(...views);
  $("answers").className = choices.length > 1 ? "two" : "";
  $("status").textContent = inCommon || spoken(answers[0]);
  $("status").className = inCommon ? "" : "unseen";
  const isTyping = $("question").value !== question;
  if (document.activeElement === $("question") && !isTyping) views[0].focus({ preventScroll: true }); // for J and K
  if (answers[0]) history.remember(question, answers[0].found ? oneLine(answers[0].text) : "");
  showHistory();
  if (answers.some((one) => one && !isKnown(one.version))) loadInfo().catch(() => {}); // a version has been taken up
}

function placesIn(title, answer) {
  return { title, places: new Map(passagesOf(answer).map((passage, i) => [passage.passage_id, i + 1])) };
}

/** What a screen reader says once the answer is there. */
function spoken(answer) {
  return answer.found ? `Answer: ${oneLine(answer.text)}` : "No answer found";
}

function showError(sentence) {
  $("error").textContent = sentence;
  $("error").hidden = !sentence;
}

// ---- what answers: systems, and other versions of them. A menu's value is "system" or "system@version".

async function loadInfo() {
  info = await api.info();
  const { num_passages: passages, num_articles: articles } = info.corpus;
  $("corpus").textContent = `${info.name} · ${count(passages, "passage")} of ${count(articles, "article")}`;
  $("notice").textContent = info.update_error;
  $("notice").hidden = !info.update_error;
  const options = choicesOf(info);
  const values = ["system", "other", "day"].map((id) => $(id).value);
  const entries = () => options.map(({ title, value }) => new Option(capitalised(title), value));
  $("system").replaceChildren(...entries());
  $("other").replaceChildren(new Option("Nothing", ""), ...entries());
  setChoices(...values);
}

/** All that can answer, the default first, as {value, title}. */
function choicesOf({ systems, versions }) {
  const first = systems.filter((system) => system.is_default);
  const others = systems.filter((system) => !system.is_default);
  const current = [...first, ...others].map(({ name, title }) => ({ value: name, title }));
  const earlier = versions.filter((version) => !version.is_current);
  const titles = new Map(systems.map(({ name, title }) => [name, title]));
  return [
    ...current,
    ...earlier.map(({ id, system, since, num_passages: passages }) => ({
      value: `${system}@${id}`,
      title: `${titles.get(system) ?? system} of ${clock(since)} (${count(passages, "passage")})`,
    })),
  ];
}

/** Choose from the menus and set the day. What leaves no choice is hidden. */
function setChoices(left, right, day) {
  for (const [menu, value] of [[$("system"), left], [$("other"), right]]) {
    menu.value = value;
    if (menu.selectedIndex < 0) menu.selectedIndex = 0; // a version that is gone
    menu.parentElement.hidden = $("system").length < 2;
  }
  $("day").value = day;
  $("day").parentElement.hidden = !info.corpus.has_dates && !day;
  $("choices").hidden = [...$("choices").querySelectorAll("label")].every((label) => label.hidden);
}

function chosen(value) {
  const [system, version] = value.split("@");
  return { ...(system && { system }), ...(version && { version }) };
}

function titleOf(value) {
  const choices = choicesOf(info);
  return (value ? choices.find((choice) => choice.value === value)?.title : choices[0]?.title) ?? value;
}

function isKnown({ id }) {
  return info.versions.some((version) => version.id === id);
}

function count(number, thing) {
  return `${number.toLocaleString("en")} ${thing}${number === 1 ? "" : "s"}`;
}

function clock(time) {
  return new Date(time).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });
}

// ---- history

function showHistory() {
  const entries = history.entries();
  const rows = entries.map(({ question, answer }) => {
    const answered = element("span", {}, answer || "no answer found");
    const open = element("button", { type: "button" }, element("b", {}, question), answered);
    open.addEventListener("click", () => {
      $("question").value = question;
      submit();
    });
    return element("li", {}, open);
  });
  $("history").replaceChildren(...rows);
  $("clear-button").hidden = !entries.length;
  $("no-history").hidden = entries.length > 0;
}

/** Put the next earlier (1) or later (-1) question into the box. */
function recall(step) {
  const questions = history.entries().map((entry) => entry.question);
  const next = recalled + step;
  if (next < -1 || next >= questions.length) return;
  if (recalled === -1) draft = $("question").value;
  recalled = next;
  $("question").value = next === -1 ? draft : questions[next];
  $("question").setSelectionRange($("question").value.length, $("question").value.length);
}

// ---- a passage in its document

async function openDocument(passage, version, step = 0) {
  opened = passage;
  $("document-title").textContent = oneLine(passage.title) || "(no title)";
  $("document-place").textContent = passage.place;
  $("document-text").replaceChildren(element("p", { className: "faint" }, "Opening …"));
  if (!$("document").open) $("document").showModal();
  try {
    const article = await api.source(passage.passage_id, version, AROUND[step]);
    if (opened !== passage) return;
    const more = (where) => {
      const button = element("button", { type: "button", className: "quiet" }, `Show more text ${where}`);
      button.addEventListener("click", () => openDocument(passage, version, step + 1));
      return step + 1 < AROUND.length ? button : element("p", { className: "faint" }, `There is more text ${where}.`);
    };
    $("document-text").replaceChildren(
      ...(article.has_more_before ? [more("before")] : []),
      ...articleView(article, passage),
      ...(article.has_more_after ? [more("after")] : []),
    );
    const marked = $("document-text").querySelector("mark") ?? $("document-text").querySelector(".cited");
    marked?.scrollIntoView({ block: "center" });
    $("document-text").focus({ preventScroll: true });
  } catch (error) {
    if (opened !== passage) return;
    $("document-text").replaceChildren(element("p", { className: "error" }, error.message));
  }
}

// ---- token

api.onUnauthorised((wasRefused) => {
  $("token-error").textContent = wasRefused ? "The server did not accept this token." : "";
  $("token-value").value = "";
  $("token").returnValue = "";
  $("token").showModal();
  return new Promise((resolve) => {
    const given = () => resolve($("token").returnValue === "given" ? $("token-value").value : null);
    $("token").addEventListener("close", given, { once: true });
  });
});

$("token-cancel").addEventListener("click", () => $("token").close());
$("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  $("token").close("given");
});

// ---- keys and buttons

function movePassage(step) {
  const buttons = [...document.querySelectorAll("#answers .open")];
  const current = buttons.findIndex((button) => button.closest("article").contains(document.activeElement));
  const next = Math.min(Math.max(current + step, 0), buttons.length - 1);
  buttons[next]?.focus({ preventScroll: true });
  buttons[next]?.closest("article").scrollIntoView({ block: "nearest" });
}

const keys = {
  "/": () => $("question").select(),
  j: () => movePassage(1),
  k: () => movePassage(-1),
  "?": () => $("help").showModal(),
};

const keysInBox = {
  ArrowUp: () => recall(1),
  ArrowDown: () => recall(-1),
  Escape: () => {
    $("question").value = "";
    recalled = -1;
  },
};

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (document.querySelector("dialog[open]") || event.target.matches("select, [type=date]")) return;
  const act = event.target === $("question") ? keysInBox[event.key] : keys[event.key.toLowerCase()];
  if (!act) return;
  event.preventDefault();
  act();
});

$("form").addEventListener("submit", (event) => {
  event.preventDefault();
  submit();
});
for (const menu of [$("system"), $("other")]) {
  menu.addEventListener("change", () => {
    if ($("question").value.trim()) submit();
  });
}
$("day").addEventListener("change", () => {
  const isUnfinished = $("day").value && $("day").value < "1000"; // the first digits of a year that is being typed
  if (!isUnfinished && $("question").value.trim()) submit();
});
$("question").addEventListener("input", () => (recalled = -1));
$("help-button").addEventListener("click", () => $("help").showModal());
$("clear-button").addEventListener("click", () => {
  history.clear();
  showHistory();
  $("question").focus();
});
for (const dialog of document.querySelectorAll("dialog")) {
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close(); // beside its content
  });
}
addEventListener("hashchange", answer);
history.onChange(showHistory);

showHistory();
if (addressed().question) {
  answer();
} else {
  loadInfo().catch((error) => showError(error.message));
}
