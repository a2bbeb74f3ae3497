// What is shown of answers. Text from the server only ever becomes text nodes, so that markup in it stays text.

const SVG = "http://www.w3.org/2000/svg";
const AROUND = 150; // characters of a runner-up shown on either side of what was read
const NEAR = 20; // a text is cut at a blank that is as near as this

/** An element with properties and children; strings among the children become text. */
export function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children.filter((child) => child !== null));
  return made;
}

const paragraph = (className, ...children) => element("p", { className }, ...children);

/** One answer with its passages.
 *
 *  setting  {title, day, threshold, utilityScale, others}: what answered ("" where there is nothing to compare), the day
 *           on which passages are valid or "", the least confidence of an answer or null, the utility that fills half
 *           a bar, and the passages of the answer beside this one, as {title, places: Map of passage id to place in the
 *           list}, or null
 *  onOpen   called with a passage and the version it came from
 */
export function answerView(answer, setting, onOpen) {
  const passages = passagesOf(answer);
  const card = (passage, isCited) =>
    passageView(passage, { ...setting, isCited }, () => onOpen(passage, answer.version));
  const section = element(
    "section",
    { className: answer.found ? "answer" : "answer none", tabIndex: -1 },
    setting.title ? paragraph("by", capitalised(setting.title)) : null,
    element("h2", {}, answer.found ? oneLine(answer.text) : "No answer found"),
    answer.confidence === null ? null : figures(confidenceFigure(answer.confidence, setting.threshold)),
    answer.found ? null : paragraph("why", reason(answer, setting.threshold)),
    ...passages.slice(0, 1).map((passage) => card(passage, true)),
  );
  if (passages.length > 1) {
    const list = element("ol", {}, ...passages.slice(1).map((passage) => element("li", {}, card(passage, false))));
    section.append(element("h3", {}, answer.found ? "Runners-up" : "Other passages"), list);
  }
  section.append(paragraph("version", versionLine(answer.version, setting.day)));
  section.setAttribute("aria-label", setting.title ? `Answer by ${setting.title}` : "Answer");
  return section;
}

export function failureView(title, sentence) {
  const parts = [paragraph("by", capitalised(title)), paragraph("error", sentence)];
  const section = element("section", { className: "answer", tabIndex: -1 }, ...parts);
  section.setAttribute("aria-label", title);
  return section;
}

/** All passages of an answer, the cited one first. */
export function passagesOf(answer) {
  return answer.source === null ? [] : [answer.source, ...answer.runners_up];
}

/** What two answers to one question have in common, in words. */
export function comparison(left, right) {
  const same = left.found === right.found && oneLine(left.text) === oneLine(right.text);
  const ids = new Set(passagesOf(left).map((passage) => passage.passage_id));
  const shared = passagesOf(right).filter((passage) => ids.has(passage.passage_id)).length;
  const most = Math.max(ids.size, passagesOf(right).length);
  return `${same ? "Same answer" : "Different answers"}; ${shared} of ${most} passages in common.`;
}

/** An article around a passage: the passage on a ground of its own, with what was read from it marked. */
export function articleView(article, passage) {
  return article.passages.map((piece) => {
    if (!piece.is_cited) return element("p", {}, piece.text);
    return paragraph("cited", ...markedText(piece.text, passage.answer_start, passage.answer_end));
  });
}

export const capitalised = (title) => title.charAt(0).toUpperCase() + title.slice(1);

export const oneLine = (text) => text.split(/\s+/).join(" ").trim();

function passageView(passage, setting, onOpen) {
  const name = oneLine(passage.title) || "(no title)";
  const title = element("button", { type: "button", className: "open", onclick: onOpen }, name);
  title.setAttribute("aria-haspopup", "dialog");
  const heading = element(setting.isCited ? "h3" : "h4", {}, title);
  const head = element("header", {}, heading, element("span", { className: "place" }, passage.place));
  const shown = [probabilityFigure(passage.probability)];
  if (passage.retrieval_utility !== null) shown.push(utilityFigure(passage.retrieval_utility, setting.utilityScale));
  const view = element("article", { className: setting.isCited ? "passage cited" : "passage" });
  if (setting.isCited) {
    view.append(head, passageText(passage));
  } else {
    const read = paragraph("read", oneLine(passage.answer));
    view.append(read, head, excerpt(passage));
  }
  view.append(figures(...shown));
  if (setting.others) view.append(paragraph("shared", placeIn(setting.others, passage.passage_id)));
  return view;
}

function placeIn({ title, places }, passageId) {
  const place = places.get(passageId);
  return place === undefined ? `Not found with ${title}` : `Number ${place} with ${title}`;
}

function passageText(passage) {
  return paragraph("text", ...markedText(passage.text, passage.answer_start, passage.answer_end));
}

/** The part of a passage around what was read, and a button that shows the whole passage. */
function excerpt(passage) {
  const characters = Array.from(passage.text);
  const start = wordBreak(characters, passage.answer_start - AROUND, -1);
  const end = wordBreak(characters, passage.answer_end + AROUND, 1);
  if (start === 0 && end === characters.length) return passageText(passage);
  const text = characters.slice(start, end).join("");
  const marked = markedText(text, passage.answer_start - start, passage.answer_end - start);
  const more = element("button", { type: "button", className: "more" }, "whole passage");
  const [before, after] = [start > 0 ? "… " : "", end < characters.length ? " … " : " "];
  const shown = paragraph("text", before, ...marked, after, more);
  more.addEventListener("click", () => {
    const whole = passageText(passage);
    whole.tabIndex = -1;
    shown.replaceWith(whole);
    whole.focus({ preventScroll: true });
  });
  return shown;
}

/** The nearest blank before (-1) or after (1) a character, or the end of the text if that is near. */
function wordBreak(characters, index, step) {
  const end = step < 0 ? 0 : characters.length;
  for (let i = index; Math.abs(i - index) < NEAR; i += step) {
    if (step * (end - i) <= 0) return end;
    if (!characters[i].trim()) return i;
  }
  return step * (end - index) < 2 * NEAR ? end : index;
}

/** Text with the characters from start to end marked. The server counts code points, strings here UTF-16 units. */
function markedText(text, start, end) {
  const characters = Array.from(text);
  const part = (from, to) => characters.slice(from, to).join("");
  if (start >= end) return [text];
  return [part(0, start), element("mark", {}, part(start, end)), part(end)];
}

function figures(...shown) {
  return element("dl", { className: "figures" }, ...shown);
}

function figure(name, value, bar) {
  return element("div", {}, element("dt", {}, name), element("dd", {}, bar, element("span", {}, value)));
}

function confidenceFigure(confidence, threshold) {
  const parts = [part("fill", 0, confidence)];
  if (threshold !== null) parts.push(part("threshold", threshold, 0));
  return figure("Confidence", percent(confidence), bar(...parts));
}

function probabilityFigure(probability) {
  return figure("p(z|x)", probability < 0.005 ? "<0.01" : probability.toFixed(2), bar(part("fill", 0, probability)));
}

function utilityFigure(utility, scale) {
  const length = Math.min(Math.abs(utility) / scale, 1) / 2;
  const fill = utility < 0 ? part("fill bad", 0.5 - length, length) : part("fill good", 0.5, length);
  const sign = utility < 0 ? "−" : "+";
  return figure("Retrieval utility", `${sign}${Math.abs(utility).toFixed(2)} nats`, bar(fill, part("zero", 0.5, 0)));
}

/** A bar for the eye alone: its value stands beside it. */
function bar(...parts) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "bar-chart");
  svg.setAttribute("aria-hidden", "true");
  svg.append(part("track", 0, 1), ...parts);
  return svg;
}

/** A part of a bar; start and length are shares of its width. Without a length, a line of 2 pixels. */
function part(kind, start, length) {
  const rect = document.createElementNS(SVG, "rect");
  const place = { class: kind, x: `${100 * start}%`, width: length ? `${100 * length}%` : "2", height: "100%" };
  for (const [name, value] of Object.entries(place)) rect.setAttribute(name, value);
  return rect;
}

function reason(answer, threshold) {
  if (answer.source === null) return "No passage holds anything that answers the question.";
  const least = threshold === null ? "the threshold" : percent(threshold);
  const guess = oneLine(answer.source.answer);
  return `The best guess is “${guess}”. Its confidence is below ${least}, so it is not given as the answer.`;
}

function versionLine({ system, model, index, corpus }, day) {
  return `${system} · model ${model} · index ${index} · corpus ${corpus}${day && ` · as of ${day}`}`;
}

function percent(share) {
  if (share < 0.005) return "<1%";
  return share > 0.995 ? ">99%" : `${Math.round(100 * share)}%`;
}
