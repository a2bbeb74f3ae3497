// Draws the charts and the retrieved passages of a run: of a finished one from the data in the page, of one that is
// being written by asking the server every two seconds. Text of the corpus is only ever inserted as text.
"use strict";
(() => {
  const page = JSON.parse(document.getElementById("data").textContent);
  const POLL_MS = 2000;
  const MAX_POINTS = 240; // of a noisy curve; more are averaged
  const MAX_SHOWN = 4; // candidates with their text
  const NULL_PASSAGE = -1;

  // ---- Helpers -------------------------------------------------------------------------------------------------

  function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
    }
    element.append(...children.filter((child) => child !== null && child !== undefined));
    return element;
  }

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  function number(value) {
    if (value === null || value === undefined || !Number.isFinite(value)) return "–";
    const size = Math.abs(value);
    if (size >= 1000) return Math.round(value).toLocaleString("en-US");
    if (size < 1e-12) return "0";
    const digits = Math.max(0, 2 - Math.floor(Math.log10(size)));
    return value.toFixed(Math.min(digits, 6)).replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, "").replace("-", "−");
  }

  function clock(seconds) {
    const total = Math.max(0, Math.round(seconds));
    const [hours, minutes, rest] = [Math.floor(total / 3600), Math.floor(total / 60) % 60, total % 60];
    const pad = (part) => String(part).padStart(2, "0");
    return hours ? `${hours}:${pad(minutes)}:${pad(rest)} h` : `${minutes}:${pad(rest)} min`;
  }

  const gib = (bytes) => `${(bytes / 2 ** 30).toFixed(2)} GiB`;
  const capitalised = (text) => text.charAt(0).toUpperCase() + text.slice(1);

  // ---- Rows: one object of columns per file, all of the same length -----------------------------------------------

  const streams = {};

  function extend(name, part) {
    const old = part.is_reset || !streams[name] ? { length: 0, columns: {} } : streams[name];
    const length = old.length + part.length;
    for (const key of new Set([...Object.keys(old.columns), ...Object.keys(part.columns)])) {
      const before = old.columns[key] || new Array(old.length).fill(null);
      old.columns[key] = before.concat(part.columns[key] || new Array(part.length).fill(null));
    }
    streams[name] = { length, columns: old.columns };
  }

  function last(name, key) {
    const values = streams[name]?.columns[key] || [];
    for (let i = values.length - 1; i >= 0; i--) if (values[i] !== null) return values[i];
    return null;
  }

  function points(stream, key, split) {
    const { columns = {}, length = 0 } = streams[stream] || {};
    const [steps, values] = [[], []];
    if (!columns[key] || !columns.step) return [steps, values];
    for (let i = 0; i < length; i++) {
      if (columns[key][i] === null || columns.step[i] === null) continue;
      if (split && (columns.split?.[i] ?? "train") !== split) continue;
      if (steps.length && columns.step[i] <= steps[steps.length - 1]) values[values.length - 1] = columns[key][i];
      else {
        steps.push(columns.step[i]);
        values.push(columns[key][i]);
      }
    }
    return [steps, values];
  }

  function averaged([steps, values]) {
    const size = Math.ceil(steps.length / MAX_POINTS);
    if (size <= 1) return [steps, values];
    const mean = (part) => part.reduce((sum, value) => sum + value, 0) / part.length;
    const [x, y] = [[], []];
    for (let i = 0; i < steps.length; i += size) {
      x.push(Math.round(mean(steps.slice(i, i + size))));
      y.push(mean(values.slice(i, i + size)));
    }
    return [x, y];
  }

  // Steps per second by the clock: evaluations and pauses for checkpoints count, interruptions do not.
  function rate(stream) {
    const { columns = {}, length = 0 } = streams[stream] || {};
    const [x, y] = [[], []];
    let before = null;
    for (let i = 0; i < length; i++) {
      const now = { step: columns.step[i], time: columns.time[i] };
      const begins = (columns.num_steps?.[i] ?? columns.minutes?.[i] ?? null) !== null;
      if (before && !begins && now.step > before.step && now.time > before.time) {
        x.push(now.step);
        y.push((now.step - before.step) / (now.time - before.time));
        before = now;
      } else if (!before || begins) before = now;
    }
    return averaged([x, y]);
  }

  // ---- Charts -------------------------------------------------------------------------------------------------

  // A curve: [label, stream, key, split, colour, kind]; kind "faint" is behind the others and averaged, "noisy" is
  // averaged, "steps" is drawn as it is, "dots" marks each measurement.
  const PRETRAIN = "pretrain/metrics";
  const FROZEN = "frozen_towers/metrics";
  const PROGRESS = "pretrain/progress";
  const CHARTS = [
    {
      title: "Loss with and without passages",
      text: "Nats per query. The gap shows how much the retrieved passages help.",
      curves: [
        ["training", PRETRAIN, "loss", "train", 1, "faint"],
        ["with passages", PRETRAIN, "loss", "heldout", 1, "dots"],
        ["null passage", PRETRAIN, "null_loss", "heldout", 2, "dots"],
      ],
    },
    {
      title: "Retrieval utility",
      text: "Log-likelihood gained by reading a retrieved passage, in nats.",
      curves: [
        ["training", PRETRAIN, "retrieval_utility", "train", 1, "faint"],
        ["held-out", PRETRAIN, "retrieval_utility", "heldout", 1, "dots"],
        ["frozen towers", FROZEN, "retrieval_utility", "heldout", 2, "dots"],
      ],
    },
    {
      title: "Retrieval utility by kind of masked words",
      text: "On held-out queries, in nats.",
      curves: (keys) =>
        keys(PRETRAIN, "retrieval_utility/").map((key, i) => [
          key.split("/")[1], PRETRAIN, key, "heldout", (i % 4) + 1, "dots",
        ]),
    },
    {
      title: "Recall@5",
      text: "Share of held-out queries, and of dev questions, with the answer in one of the top five passages.",
      curves: [
        ["held-out queries", PRETRAIN, "recall", "heldout", 1, "dots"],
        ["dev questions", PROGRESS, "dev_recall@5", null, 3, "dots"],
        ["frozen towers", FROZEN, "recall", "heldout", 2, "dots"],
      ],
    },
    {
      title: "Probability of the null passage",
      text: "p(null|x). Close to 1 means that retrieved passages are ignored.",
      curves: [
        ["training", PRETRAIN, "null_mass", "train", 1, "faint"],
        ["held-out", PRETRAIN, "null_mass", "heldout", 1, "dots"],
      ],
    },
    {
      title: "Distinct passages retrieved",
      text: "Over all held-out queries. A drop means that retrieval collapses onto a few hubs.",
      curves: [
        ["trained towers", PRETRAIN, "num_distinct_passages", "heldout", 1, "dots"],
        ["frozen towers", FROZEN, "num_distinct_passages", "heldout", 2, "dots"],
      ],
    },
    {
      title: "Largest hub",
      text: "Share of held-out queries that have the same passage among their candidates.",
      curves: [
        ["trained towers", PRETRAIN, "hub_share", "heldout", 1, "dots"],
        ["frozen towers", FROZEN, "hub_share", "heldout", 2, "dots"],
      ],
    },
    {
      title: "Index staleness",
      text: "Training steps since the weights that the index was built with.",
      curves: [["steps", PRETRAIN, "staleness_steps", "train", 3, "steps"]],
    },
    {
      title: "Gradient norms of the towers",
      text: "Before clipping. Both should stay above zero.",
      curves: [
        ["query", PRETRAIN, "query_tower_grad_norm", "train", 1, "noisy"],
        ["passage", PRETRAIN, "passage_tower_grad_norm", "train", 2, "noisy"],
      ],
    },
    {
      title: "Throughput",
      text: "Tokens per second through towers and reader.",
      curves: [["tokens/s", PRETRAIN, "tokens_per_second", "train", 3, "noisy"]],
    },
    {
      title: "Steps per second",
      text: "By the clock, evaluations included.",
      curves: [["steps/s", PROGRESS, "rate", null, 3, "rate"]],
    },
    {
      title: "Memory",
      text: "Of the training process, in GiB.",
      scale: 2 ** -30,
      curves: [
        ["main memory", PROGRESS, "memory_bytes", null, 4, "steps"],
        ["GPU", PROGRESS, "gpu_memory_bytes", null, 1, "steps"],
      ],
    },
  ];

  // The other trainings of a run: their losses, and what is a share of something.
  function otherCharts(stage, title) {
    const stream = `${stage}/metrics`;
    const chosen = (test) => (keys) =>
      keys(stream, "").filter(test).map((key, i) => [key.replaceAll("_", " "), stream, key, "train", (i % 4) + 1, "noisy"]);
    return [
      { title: `${title}: losses`, text: "Means over the batch, in nats.", curves: chosen((key) => key.endsWith("loss")) },
      {
        title: `${title}: shares`,
        text: "Shares of the batch.",
        curves: chosen((key) => key.endsWith("accuracy") || key === "no_positive"),
      },
    ];
  }

  function keysOf(stream, prefix) {
    return Object.keys(streams[stream]?.columns || {}).filter((key) => key.startsWith(prefix)).sort();
  }

  function curvesOf(chart) {
    const specs = typeof chart.curves === "function" ? chart.curves(keysOf) : chart.curves;
    return specs
      .map(([label, stream, key, split, tone, kind]) => {
        let [x, y] = kind === "rate" ? rate(stream) : points(stream, key, split);
        if (kind === "faint" || kind === "noisy") [x, y] = averaged([x, y]);
        return { label, tone, kind, x, y: chart.scale ? y.map((value) => value * chart.scale) : y };
      })
      .filter((curve) => curve.x.length);
  }

  // Wider than the data if the values hardly differ, so that noise looks like noise; from 0 if that is near.
  function yRange(_, low, high) {
    if (low === null || high === null) return [0, 1];
    const bottom = low >= 0 && low < high / 2 ? 0 : low;
    let missing = 0.2 * Math.max(Math.abs(bottom), Math.abs(high)) - (high - bottom);
    if (bottom === 0 && high === 0) missing = 2;
    const pad = 0.04 * (high - bottom);
    return missing > 0 ? [bottom - missing / 2, high + missing / 2] : [bottom === 0 ? 0 : bottom - pad, high + pad];
  }

  function nearest(u, series, index) {
    const values = u.data[series];
    if (series === 0 || (values[index] ?? null) !== null) return index;
    for (let away = 1; away < values.length; away++) {
      if ((values[index - away] ?? null) !== null) return index - away;
      if ((values[index + away] ?? null) !== null) return index + away;
    }
    return index;
  }

  const refreshes = () => points(PRETRAIN, "staleness_steps", "refresh")[0];

  function drawMarks(u) {
    u.ctx.save();
    u.ctx.strokeStyle = colour("--mark");
    u.ctx.lineWidth = devicePixelRatio;
    u.ctx.setLineDash([3 * devicePixelRatio, 3 * devicePixelRatio]);
    for (const step of refreshes()) {
      const x = Math.round(u.valToPos(step, "x", true));
      if (x < u.bbox.left || x > u.bbox.left + u.bbox.width) continue;
      u.ctx.beginPath();
      u.ctx.moveTo(x, u.bbox.top);
      u.ctx.lineTo(x, u.bbox.top + u.bbox.height);
      u.ctx.stroke();
    }
    u.ctx.restore();
  }

  class Chart {
    constructor(chart, group, marks) {
      this.chart = chart;
      this.group = group;
      this.marks = marks;
      this.plot = make("div", {
        class: "plot", tabindex: 0, role: "slider", "aria-label": `${chart.title}, by step`,
        "aria-valuemin": 0, "aria-valuemax": 0, "aria-valuenow": 0, onkeydown: (event) => this.press(event),
        onblur: () => this.point(null),
      });
      this.legend = make("div", { class: "legend" });
      this.element = make(
        "figure", {},
        make("figcaption", {}, make("b", {}, chart.title), make("span", { class: "what" }, chart.text), this.legend),
        this.plot,
      );
      new ResizeObserver(() => this.resize()).observe(this.plot);
    }

    // Draws the curves from the first to the last step in `ends`; returns whether there is something to show.
    update(curves, ends) {
      this.element.hidden = !curves.length;
      if (!curves.length) return false;
      const shape = JSON.stringify(curves.map(({ label, tone, kind }) => [label, tone, kind]));
      // All charts of a group have the same steps at their ends, so that they can be compared.
      const data = uPlot.join([...curves.map(({ x, y }) => [x, y]), [ends, [null, null]]]).slice(0, -1);
      this.curves = curves;
      if (this.u && shape === this.shape) this.u.setData(data, !this.isZoomed);
      else this.build(curves, data, shape);
      this.show();
      return true;
    }

    build(curves, data, shape) {
      this.u?.destroy();
      this.shape = shape;
      const axis = (side) => ({
        stroke: () => colour("--soft"), font: "11px system-ui, sans-serif", size: side === "y" ? 52 : 26, gap: 4,
        grid: { stroke: () => colour("--grid"), width: 1, show: side === "y" }, ticks: { show: false },
        values: (_, values) => values.map(number), space: side === "y" ? 30 : 60,
      });
      const series = curves.map(({ label, tone, kind }) => ({
        label,
        stroke: () => colour(`--s${tone}`) + (kind === "faint" ? "77" : ""),
        width: kind === "faint" ? 1 : 2,
        spanGaps: true,
        points: { show: kind === "dots", size: 5, width: 1, fill: () => colour(`--s${tone}`) },
      }));
      this.u = new uPlot(
        {
          width: this.width(), height: 210, padding: [10, 12, 0, 0],
          legend: { show: false },
          scales: { x: { time: false }, y: { range: yRange } },
          axes: [axis("x"), axis("y")],
          series: [{ label: "step" }, ...series],
          cursor: {
            y: false, dataIdx: nearest, sync: { key: this.group }, drag: { x: true, y: false },
            points: { size: 8, width: 1, stroke: () => colour("--card") },
          },
          hooks: {
            draw: this.marks ? [drawMarks] : [],
            setCursor: [() => this.show()],
            setScale: [(u, key) => key === "x" && (this.isZoomed = this.isCut(u))],
          },
        },
        data, this.plot,
      );
    }

    isCut(u) {
      const steps = u.data[0];
      return u.scales.x.min > steps[0] || u.scales.x.max < steps[steps.length - 1];
    }

    width() {
      return Math.max(220, Math.floor(this.plot.clientWidth));
    }

    resize() {
      if (this.u && this.u.width !== this.width() && this.plot.clientWidth) this.u.setSize({ width: this.width(), height: 210 });
    }

    // The legend: the values under the cursor, or the last ones.
    show() {
      const index = this.u.cursor.idx ?? null;
      const values = this.curves.map((curve, i) => {
        const row = this.u.data[i + 1];
        return index === null ? curve.y[curve.y.length - 1] : row[nearest(this.u, i + 1, index)];
      });
      const step = index === null ? this.u.data[0][this.u.data[0].length - 1] : this.u.data[0][index];
      const keys = this.curves.map(({ label, tone, kind }, i) =>
        make("span", { class: `k${tone} ${kind === "faint" ? "thin" : ""}` }, `${label} `, make("b", {}, number(values[i]))),
      );
      if (index !== null) keys.unshift(make("span", { class: "step" }, `step ${number(step)}`));
      if (this.marks && refreshes().length) keys.push(make("span", { class: "m" }, "index refresh"));
      this.legend.replaceChildren(...keys);
      this.plot.setAttribute("aria-valuemax", this.u.data[0][this.u.data[0].length - 1]);
      this.plot.setAttribute("aria-valuenow", step);
      const spoken = this.curves.map(({ label }, i) => `${label} ${number(values[i])}`).join(", ");
      this.plot.setAttribute("aria-valuetext", `step ${number(step)}: ${spoken}`);
    }

    // Puts the cursor on a step, by its number in the data; null takes it away.
    point(index) {
      if (!this.u) return;
      const left = index === null ? -10 : this.u.valToPos(this.u.data[0][index], "x");
      this.u.setCursor({ left, top: index === null ? -10 : 10 });
    }

    press(event) {
      if (!this.u) return;
      const end = this.u.data[0].length - 1;
      const at = this.u.cursor.idx ?? end;
      const moved = {
        ArrowLeft: at - 1, ArrowRight: at + 1, PageUp: at - 10, PageDown: at + 10, Home: 0, End: end, Escape: null,
      };
      if (!(event.key in moved)) return;
      event.preventDefault();
      this.point(moved[event.key] === null ? null : Math.min(end, Math.max(0, moved[event.key])));
    }
  }

  const charts = [];

  function addGroup(section, group, title, lead, specs, marks) {
    const grid = make("div", { class: "grid2" });
    const element = make("section", { hidden: true }, make("h2", {}, title), lead, grid);
    section.append(element);
    const made = specs.map((spec) => new Chart(spec, group, marks));
    grid.append(...made.map((chart) => chart.element));
    charts.push({ element, made });
  }

  function drawCharts() {
    for (const { element, made } of charts) {
      element.hidden = false; // so that the charts have a width
      const curves = made.map(({ chart }) => curvesOf(chart));
      const steps = curves.flat().flatMap(({ x }) => [x[0], x[x.length - 1]]);
      const ends = [Math.min(...steps), Math.max(...steps)];
      if (ends[0] === ends[1]) ends[1] += 1;
      const shown = made.map((chart, i) => chart.update(curves[i], ends));
      element.hidden = !shown.some(Boolean);
    }
  }

  // Canvases do not follow a change of colours by themselves.
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    for (const { made } of charts) for (const chart of made) chart.u?.redraw(false);
  });

  // ---- Retrieved passages ---------------------------------------------------------------------------------------

  // A query: {query, gold, kind, first, last, records}; a record: {step, label, candidates: [[passage, p, utility]]},
  // where a passage is its number in `passages`. On a live page the records are asked for when a query is chosen.
  let queries = [];
  let passages = [];
  let records = [];
  let chosen = { query: 0, record: null };
  const explorer = {};

  function buildExplorer(section) {
    explorer.list = make("div", { class: "queries", role: "listbox", "aria-label": "Held-out queries", tabindex: 0, onkeydown: pressList });
    explorer.filter = make("input", { type: "search", placeholder: "Filter the queries", "aria-label": "Filter the queries", oninput: drawList });
    const options = [["order", "in order"], ["gain", "largest gain first"], ["loss", "largest loss first"]];
    explorer.sort = make("select", { "aria-label": "Order of the queries", onchange: drawList }, ...options.map(([value, text]) => make("option", { value }, text)));
    explorer.detail = make("div", { class: "detail" });
    explorer.element = make(
      "section", { hidden: true }, make("h2", {}, "Retrieved passages"),
      make("p", { class: "lead" }, "What is retrieved for held-out queries, whose masked words the model has to predict: p(z|x) by index version, and retrieval utility in nats. The masked words are highlighted wherever a passage contains them; in the table, ● marks such passages."),
      make("div", { class: "explorer" }, make("div", { class: "chooser" }, make("div", { class: "tools" }, explorer.filter, explorer.sort), explorer.list), explorer.detail),
    );
    section.append(explorer.element);
  }

  const gain = (query) => (query.first === null || query.last === null ? 0 : query.last - query.first);

  function listed() {
    const words = explorer.filter.value.trim().toLowerCase();
    const found = queries.map((query, i) => i).filter((i) => `${queries[i].query} ${queries[i].gold}`.toLowerCase().includes(words));
    const sign = { order: 0, gain: -1, loss: 1 }[explorer.sort.value];
    return sign ? found.sort((a, b) => sign * (gain(queries[a]) - gain(queries[b]))) : found;
  }

  function drawList() {
    const items = listed().map((i) => {
      const query = queries[i];
      const change = query.first === null || query.last === null ? "" : `${signed(query.first)} → ${signed(query.last)}`;
      return make(
        "div", { role: "option", class: "query", id: `query-${i}`, "aria-selected": String(i === chosen.query), onclick: () => choose(i) },
        make("span", { class: "gold" }, query.gold || "–"), make("span", { class: "kind" }, query.kind || ""),
        make("span", { class: "change" }, change), make("span", { class: "words" }, query.query),
      );
    });
    explorer.list.replaceChildren(...(items.length ? items : [make("p", { class: "what" }, "No query contains these words.")]));
    explorer.list.setAttribute("aria-activedescendant", `query-${chosen.query}`);
  }

  function pressList(event) {
    const order = listed();
    const at = order.indexOf(chosen.query);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: order.length - 1 }[event.key];
    if (to === undefined || !order.length) return;
    event.preventDefault();
    choose(order[Math.min(order.length - 1, Math.max(0, to))]);
    document.getElementById(`query-${chosen.query}`)?.scrollIntoView({ block: "nearest" });
  }

  async function choose(query, record = null) {
    chosen = { query, record };
    history.replaceState(null, "", `#query=${query}`);
    drawList();
    await loadQuery();
  }

  async function loadQuery() {
    const asked = chosen.query;
    if (!page.live) ({ records } = queries[asked] || { records: [] });
    else {
      const answer = await ask(`queries/${asked}`);
      if (!answer || asked !== chosen.query) return;
      ({ records, passages } = answer);
    }
    drawDetail();
  }

  function signed(value) {
    if (value === null || value === undefined) return "–";
    const shown = Math.abs(value) < 0.005 ? 0 : value;
    return `${shown < 0 ? "−" : "+"}${Math.abs(shown).toFixed(2)}`;
  }

  // The text with every whole-word occurrence of the masked words marked.
  function marked(text, gold) {
    const words = gold.trim().split(/\s+/).filter(Boolean).map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
    if (!words.length) return [text];
    const pattern = new RegExp(`(?<![\\p{L}\\p{N}_])(${words.join("\\s+")})(?![\\p{L}\\p{N}_])`, "giu");
    return text.split(pattern).map((part, i) => (i % 2 ? make("mark", {}, part) : part));
  }

  function masked(text) {
    return text.split("[MASK]").flatMap((part, i) => (i ? [make("span", { class: "mask" }, "[MASK]"), part] : [part]));
  }

  const titleOf = (passage) => (passage === NULL_PASSAGE ? "Null passage" : passages[passage]?.title || "Without a title");

  function drawDetail() {
    const query = queries[chosen.query];
    if (!query || !records.length) {
      explorer.detail.replaceChildren(make("p", { class: "what" }, "Nothing has been retrieved for it yet."));
      return;
    }
    const shown = Math.min(chosen.record ?? records.length - 1, records.length - 1);
    const sides = [side(records[0], query.gold)];
    if (records.length > 1) sides.push(side(records[shown || records.length - 1], query.gold));
    const left = explorer.detail.querySelector(".scroll")?.scrollLeft ?? 0;
    explorer.detail.replaceChildren(
      make("p", { class: "asked" }, ...masked(query.query), make("br"), make("span", { class: "gold" }, "Masked words: ", make("b", {}, query.gold))),
      matrix(shown || records.length - 1),
      make("div", { class: "sides" }, ...sides),
    );
    explorer.detail.querySelector(".scroll").scrollLeft = left;
  }

  function matrix(shown) {
    const best = new Map();
    for (const record of records) {
      for (const [passage, probability] of record.candidates) best.set(passage, Math.max(best.get(passage) ?? 0, probability));
    }
    const rows = [...best.keys()].sort((a, b) => best.get(b) - best.get(a)).slice(0, 8);
    const head = records.map((record, i) =>
      make("th", { scope: "col" }, make("button", {
        type: "button", class: "version", "aria-pressed": String(i === shown), "aria-label": record.label,
        title: record.index ? `${record.label}, index ${record.index}` : record.label,
        onclick: () => { chosen.record = i; drawDetail(); },
      }, record.step ? number(record.step) : record.label.split(" ")[0])),
    );
    const titles = rows.map(titleOf);
    const body = rows.map((passage, row) => {
      const cells = records.map((record) => {
        const found = record.candidates.find(([candidate]) => candidate === passage);
        if (!found) return make("td", {}, make("span", { class: "absent" }, "·"));
        const cell = make("td", { class: "heat" }, found[1].toFixed(2));
        cell.style.setProperty("--heat", `${Math.round(100 * found[1])}%`);
        return cell;
      });
      const gold = queries[chosen.query].gold;
      const holds = passage !== NULL_PASSAGE && marked(passages[passage]?.text || "", gold).length > 1;
      // Passages of the same article are told apart by their places.
      const isUnique = titles.filter((title) => title === titles[row]).length === 1;
      const name = (!isUnique && passages[passage]?.place) || titles[row];
      return make("tr", {}, make("th", { scope: "row", class: holds ? "holds" : null, title: titles[row] }, name), ...cells);
    });
    const corner = make("th", { scope: "col" }, "p(z|x) at step");
    return make("div", { class: "scroll" }, make("table", { class: "matrix" }, make("thead", {}, make("tr", {}, corner, ...head)), make("tbody", {}, ...body)));
  }

  function side(record, gold) {
    const best = [...record.candidates].sort((a, b) => b[1] - a[1]).slice(0, MAX_SHOWN);
    return make("div", { class: "side" }, make("h4", {}, capitalised(record.label)), ...best.map((candidate) => candidateOf(candidate, gold)));
  }

  function candidateOf([passage, probability, utility], gold) {
    const { place = "", text = "" } = passages[passage] || {};
    const kind = utility > 0.05 ? "good" : utility < -0.05 ? "bad" : null;
    return make(
      "div", { class: "passage" },
      make(
        "div", { class: "figures" }, make("span", { class: "title" }, titleOf(passage)), place ? make("span", {}, place) : null,
        make("span", {}, `p(z|x) ${probability.toFixed(2)}`),
        utility === null || utility === undefined ? null : make("span", { class: kind }, `utility ${signed(utility)}`),
      ),
      ...marked(text, gold),
    );
  }

  function setQueries(found) {
    queries = found;
    explorer.element.hidden = !queries.length;
    if (chosen.query >= queries.length) chosen.query = 0;
    if (queries.length) drawList();
  }

  // ---- The live page ----------------------------------------------------------------------------------------------

  const live = { cursors: {}, queries: "", groups: new Set() };

  async function ask(what, body) {
    try {
      const answer = await fetch(what, body ? { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) } : {});
      const value = await answer.json();
      if (!answer.ok) throw new Error(value.error || `the server answered ${answer.status}`);
      return value;
    } catch (error) {
      const lost = error instanceof TypeError;
      live.trouble.textContent = lost ? "The server does not answer: is openrealm watch still running? Trying again." : String(error.message);
      live.trouble.hidden = false;
      return null;
    }
  }

  function buildStatus(section) {
    live.now = make("p", { class: "headline", role: "status" });
    live.bar = make("div", { class: "progress", role: "progressbar", "aria-label": "Share of this training that is done", "aria-valuemin": 0, "aria-valuemax": 100 }, make("div"));
    live.stages = make("ol", { class: "stages" });
    live.trouble = make("p", { class: "trouble", role: "alert", hidden: true });
    section.append(live.now, live.bar, live.stages, live.trouble);
  }

  // Seconds that a training still needs, from its progress since it was started or resumed.
  function secondsLeft(stream) {
    const { columns = {}, length = 0 } = streams[stream] || {};
    let begin = length - 1;
    while (begin > 0 && (columns.num_steps?.[begin] ?? columns.minutes?.[begin] ?? null) === null) begin--;
    const [first, end] = [Math.max(begin, 0), length - 1];
    if (end <= first) return null;
    const done = columns.share_done[end] - columns.share_done[first];
    const left = 1 - columns.share_done[end];
    return done > 0 ? ((columns.time[end] - columns.time[first]) / done) * left : null;
  }

  function showStatus(state) {
    const running = state.stages.find((stage) => stage.state === "running");
    const training = running && streams[`${running.name}/progress`] ? running : null;
    const parts = [];
    live.bar.hidden = !training;
    if (training) {
      const stream = `${training.name}/progress`;
      const [metrics, planned] = [`${training.name}/metrics`, last(stream, "num_steps")];
      const step = Math.max(last(stream, "step") ?? 0, last(metrics, "step") ?? 0);
      parts.push(`${capitalised(training.title)}: step ${number(step)}${planned ? ` of ${number(planned)}` : ""}`);
      const speeds = rate(stream)[1];
      if (speeds.length) parts.push(`${number(speeds[speeds.length - 1])} steps/s`);
      const left = secondsLeft(stream);
      if (left !== null) {
        const end = new Date(Date.now() + 1000 * left);
        parts.push(`about ${clock(left)} left (until ${end.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })})`);
      }
      if (last(metrics, "staleness_steps") !== null && training.name === "pretrain") {
        parts.push(`index ${number(last(metrics, "staleness_steps"))} steps old${last(metrics, "refreshing") ? ", being refreshed" : ""}`);
      }
      parts.push(gib(last(stream, "memory_bytes")));
      const share = Math.round(100 * (last(stream, "share_done") ?? 0));
      live.bar.setAttribute("aria-valuenow", share);
      live.bar.firstChild.style.width = `${share}%`;
    } else if (running) parts.push(`${capitalised(running.title)} is running`);
    else if (state.stages.some((stage) => stage.state === "interrupted")) parts.push("The run was interrupted");
    else parts.push(state.has_report ? "The run is finished" : "No stage is running");
    live.now.textContent = `${parts.join(" · ")}${training ? "" : "."}`;
    live.stages.replaceChildren(
      ...state.stages.map((stage) =>
        make("li", { class: stage.state }, capitalised(stage.title), make("span", {}, stage.seconds ? ` ${clock(stage.seconds)}` : ""),
          make("span", { class: "sr" }, ` (${stage.state})`)),
      ),
    );
  }

  async function poll() {
    const answer = await ask("data", { cursors: live.cursors });
    if (answer) {
      live.trouble.hidden = true;
      if (live.report !== undefined && live.report !== answer.state.report) return location.reload();
      live.report = answer.state.report;
      for (const [name, part] of Object.entries(answer.streams)) {
        live.cursors[name] = part.cursor;
        if (part.length || part.is_reset) extend(name, part);
      }
      for (const name of Object.keys(streams)) if (!(name in answer.streams)) delete streams[name];
      addOtherGroups(answer.state.stages);
      showStatus(answer.state);
      drawCharts();
      if (answer.state.queries !== live.queries) {
        live.queries = answer.state.queries;
        const found = await ask("queries");
        if (found) setQueries(found.queries);
        if (queries.length) await loadQuery();
      }
    }
    setTimeout(poll, document.hidden ? 5 * POLL_MS : POLL_MS);
  }

  // ---- Start ------------------------------------------------------------------------------------------------------

  const section = document.getElementById("drawn");

  function addOtherGroups(stages) {
    for (const { name, title } of stages) {
      if (live.groups.has(name) || ["pretrain", "frozen_towers"].includes(name) || !streams[`${name}/metrics`]) continue;
      live.groups.add(name);
      addGroup(document.getElementById("others"), name, capitalised(title), "", otherCharts(name, capitalised(title)), false);
    }
  }

  function start() {
    const found = /^#query=(\d+)$/.exec(location.hash);
    if (found) chosen.query = Number(found[1]);
    if (page.live) buildStatus(document.getElementById("status"));
    addGroup(section, "pretrain", "Pre-training", page.lead ? make("p", { class: "lead" }, page.lead) : "", CHARTS, true);
    buildExplorer(section);
    if (page.live) {
      poll();
      return;
    }
    for (const [name, part] of Object.entries(page.streams)) extend(name, part);
    addOtherGroups(page.stages);
    drawCharts();
    passages = page.passages;
    setQueries(page.queries);
    if (queries.length) loadQuery();
  }

  start();
})();
