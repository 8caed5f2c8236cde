"use strict";
/* The explorer of a released cohort. All numbers are computed here, from the released patients in the page. */
(() => {
const DATA = JSON.parse(document.getElementById("data").textContent);
const COLOURS = ["#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9", "#7A6A00", "#9A9A9A", "#5B3A86", "#000000"];
const GENE = "#234F7D", CHROMOSOME = "#8C2D19", ABSENT = "#E9EBEE";
const UNKNOWN = "unknown";
const place = new Map(DATA.columns.map((column, i) => [column.name, i + 1]));
const column = name => DATA.columns[place.get(name) - 1];
const value = (patient, name) => patient[place.get(name)];
const by_id = new Map(DATA.patients.map((patient, i) => [patient[0], i]));
const $ = id => document.getElementById(id);
const percent = share => (100 * share).toFixed(share > 0 && share < 0.1 ? 1 : 0) + " %";
const element = (tag, attributes = {}, ...children) => {
  const made = document.createElement(tag);
  for (const [name, content] of Object.entries(attributes)) made.setAttribute(name, content);
  made.append(...children);
  return made;
};

/* What is asked for is in the address, so that a view can be sent to somebody. */
const state = { filters: [], by: "", endpoint: DATA.endpoints[0] || "", show: "", patient: "" };
function read_address() {
  const asked = new URLSearchParams(location.hash.slice(1));
  state.filters = asked.getAll("f").map(text => {
    const cut = text.lastIndexOf(":"), name = text.slice(0, cut), rest = text.slice(cut + 1);
    if (!place.has(name)) return null;
    if (column(name).kind !== "number") return { name, values: rest.split("|") };
    const [low, high] = rest.split("..");
    return { name, low: low === "" ? -Infinity : +low, high: high === "" || high === undefined ? Infinity : +high };
  }).filter(Boolean);
  state.by = place.has(asked.get("by")) ? asked.get("by") : "";
  if (DATA.endpoints.includes(asked.get("endpoint"))) state.endpoint = asked.get("endpoint");
  state.show = place.has(asked.get("show")) ? asked.get("show") : first_number();
  state.patient = by_id.has(asked.get("patient")) ? asked.get("patient") : DATA.patients.length ? DATA.patients[0][0] : "";
}
function written(filter) {
  if (filter.values) return filter.name + ":" + filter.values.join("|");
  const end = number => Number.isFinite(number) ? String(number) : "";
  return filter.name + ":" + end(filter.low) + ".." + end(filter.high);
}
function write_address() {
  const asked = new URLSearchParams();
  state.filters.forEach(filter => asked.append("f", written(filter)));
  if (state.by) asked.set("by", state.by);
  if (state.endpoint) asked.set("endpoint", state.endpoint);
  if (state.show) asked.set("show", state.show);
  if (state.patient) asked.set("patient", state.patient);
  history.replaceState(null, "", "#" + asked);
}
const first_number = () => (DATA.columns.find(c => c.kind === "number" && !c.hidden) || DATA.columns[0] || { name: "" }).name;

/* Patients. */
function level_of(patient, name) {
  const own = value(patient, name);
  if (own === null) return UNKNOWN;
  return column(name).kind === "alteration" ? (own === 1 ? "present" : "absent") : String(own);
}
const passes = patient => state.filters.every(filter => {
  if (filter.values) return filter.values.includes(level_of(patient, filter.name));
  const own = value(patient, filter.name);
  return own !== null && own >= filter.low && own <= filter.high;
});

/* Statistics: Kaplan and Meier, J Am Stat Assoc 1958; Greenwood's variance on the log-log scale; Mantel's log-rank test. */
function followed(patients) {
  const time = state.endpoint + "_time", event = state.endpoint + "_event";
  return patients.map(p => [value(p, time), value(p, event)]).filter(([t, e]) => t !== null && e !== null);
}
function kaplan_meier(pairs) {
  const sorted = [...pairs].sort((a, b) => a[0] - b[0]);
  const steps = [];
  let survival = 1, variance = 0;
  for (let i = 0; i < sorted.length;) {
    const time = sorted[i][0], at_risk = sorted.length - i;
    let events = 0, j = i;
    for (; j < sorted.length && sorted[j][0] === time; j++) events += sorted[j][1];
    survival *= 1 - events / at_risk;
    if (events) variance += events / (at_risk * (at_risk - events));
    let low = survival, high = survival;
    if (survival > 0 && survival < 1) {
      const centre = Math.log(-Math.log(survival)), half = 1.959963984540054 * Math.sqrt(variance) / Math.log(survival);
      low = Math.exp(-Math.exp(centre - half));
      high = Math.exp(-Math.exp(centre + half));
    }
    steps.push({ time, at_risk, events, survival, low: Math.min(low, high), high: Math.max(low, high) });
    i = j;
  }
  return steps;
}
function log_rank(groups) {
  const times = [...new Set(groups.flatMap(pairs => pairs.filter(p => p[1]).map(p => p[0])))].sort((a, b) => a - b);
  const k = groups.length, excess = Array(k).fill(0), spread = Array.from({ length: k }, () => Array(k).fill(0));
  const ordered = groups.map(pairs => [...pairs].sort((a, b) => a[0] - b[0])), from = Array(k).fill(0);
  for (const time of times) {
    const at_risk = [], died = [];
    ordered.forEach((pairs, g) => {
      while (from[g] < pairs.length && pairs[from[g]][0] < time) from[g]++;
      at_risk.push(pairs.length - from[g]);
      let events = 0;
      for (let i = from[g]; i < pairs.length && pairs[i][0] === time; i++) events += pairs[i][1];
      died.push(events);
    });
    const n = at_risk.reduce((a, b) => a + b, 0), d = died.reduce((a, b) => a + b, 0);
    const factor = n > 1 ? d * (n - d) / (n - 1) : 0;
    for (let g = 0; g < k; g++) {
      excess[g] += died[g] - d * at_risk[g] / n;
      for (let h = 0; h < k; h++) spread[g][h] += factor * (at_risk[g] / n) * ((g === h ? 1 : 0) - at_risk[h] / n);
    }
  }
  const solved = solve(spread.slice(1).map(row => row.slice(1)), excess.slice(1));
  if (!solved) return { statistic: NaN, p: NaN };
  const statistic = solved.reduce((sum, x, i) => sum + x * excess[i + 1], 0);
  return { statistic, p: upper_gamma((k - 1) / 2, statistic / 2) };
}
function solve(matrix, right) {
  const rows = matrix.map((row, i) => [...row, right[i]]), n = rows.length;
  for (let i = 0; i < n; i++) {
    let best = i;
    for (let j = i + 1; j < n; j++) if (Math.abs(rows[j][i]) > Math.abs(rows[best][i])) best = j;
    if (Math.abs(rows[best][i]) < 1e-12) return null;
    [rows[i], rows[best]] = [rows[best], rows[i]];
    for (let j = 0; j < n; j++) {
      if (j === i) continue;
      const factor = rows[j][i] / rows[i][i];
      for (let c = i; c <= n; c++) rows[j][c] -= factor * rows[i][c];
    }
  }
  return rows.map((row, i) => row[n] / row[i]);
}
/* Regularised upper incomplete gamma function for a = 1/2, 1, 3/2, ...: by recurrence from a = 1/2 or 1. */
function upper_gamma(a, x) {
  if (!(x > 0)) return x === 0 ? 1 : NaN;
  let at = a % 1 === 0 ? 1 : 0.5, sum = at === 1 ? Math.exp(-x) : erfc(Math.sqrt(x));
  let term = at === 1 ? x * Math.exp(-x) : 2 * Math.sqrt(x / Math.PI) * Math.exp(-x);
  for (; at < a; at++) { sum += term; term *= x / (at + 1); }
  return sum;
}
function erfc(x) {
  if (x < 2.5) {
    let term = x, sum = x;
    for (let n = 1; n < 100; n++) { term *= -x * x / n; sum += term / (2 * n + 1); }
    return 1 - 2 / Math.sqrt(Math.PI) * sum;
  }
  let fraction = 0;
  for (let n = 80; n > 0; n--) fraction = n / 2 / (x + fraction);
  return Math.exp(-x * x) / Math.sqrt(Math.PI) / (x + fraction);
}

/* Groups whose curves are compared. */
function groups_of(selected, others) {
  if (!state.by) {
    const found = [{ name: state.filters.length ? "selected" : "all patients", patients: selected, colour: COLOURS[0] }];
    if (state.filters.length) found.push({ name: "all others", patients: others, colour: COLOURS[7] });
    return found;
  }
  const chosen = column(state.by);
  if (chosen.kind === "number") {
    const known = selected.map(p => value(p, state.by)).filter(v => v !== null).sort((a, b) => a - b);
    const middle = known[Math.floor(known.length / 2)];
    return [
      { name: `${state.by} below ${middle}`, patients: selected.filter(p => value(p, state.by) !== null && value(p, state.by) < middle), colour: COLOURS[0] },
      { name: `${state.by} ${middle} or above`, patients: selected.filter(p => value(p, state.by) !== null && value(p, state.by) >= middle), colour: COLOURS[1] },
    ];
  }
  const levels = chosen.kind === "alteration" ? ["absent", "present"] : chosen.levels;
  return levels.map((level, i) => ({
    name: chosen.kind === "alteration" ? `${state.by} ${level}` : level, level,
    patients: selected.filter(p => level_of(p, state.by) === level),
    colour: chosen.group === chosen.name ? class_colour(i) : COLOURS[i % COLOURS.length],
  }));
}

/* Pictures. */
let charts = [];
function new_chart(into, options, data) {
  const width = Math.max(240, into.clientWidth);
  const chart = new uPlot({ width, height: Math.round(Math.min(380, 130 + width * 0.28)), ...options }, data, into);
  charts.push([into, chart]);
}
const stepped = uPlot.paths.stepped({ align: 1 });
const legend = { live: false, markers: { dash: (u, i) => (u.series[i].dash ? "dashed" : "solid") } };
const axis = (label, size = 44) => ({ label, size, labelSize: 18, labelGap: 0, font: "12px system-ui", labelFont: "12px system-ui" });
function draw_survival(selected, others) {
  $("km").replaceChildren();
  for (const id of ["atrisk", "steps"]) $(id).replaceChildren();
  $("logrank").textContent = $("unshown").textContent = "";
  if (!state.endpoint) { $("km").textContent = "This cohort has no endpoint."; return; }
  const groups = groups_of(selected, others).map(g => ({ ...g, pairs: followed(g.patients) })).filter(g => g.pairs.length);
  if (!groups.length) { $("km").textContent = "No patient with known follow-up is selected."; return; }
  groups.forEach(g => { g.steps = kaplan_meier(g.pairs); });
  const real = $("real").checked ? real_curves(groups) : [];
  if ($("real").checked && !real.length) $("unshown").textContent = "Real patients are not drawn here: by class, only without filters and from five patients on.";
  const ends = groups.map(g => g.steps[g.steps.length - 1].time);
  const times = [...new Set([0, ...groups.flatMap(g => g.steps.map(s => s.time)), ...real.flatMap(r => r.times)])].sort((a, b) => a - b);
  const along = (own, values, start, end) => {
    let i = -1;
    return times.map(t => { while (i + 1 < own.length && own[i + 1] <= t) i++; return t > end ? null : i < 0 ? start : values[i]; });
  };
  const data = [times], series = [{ label: "months" }], bands = [];
  groups.forEach((g, i) => {
    const own = g.steps.map(s => s.time);
    data.push(along(own, g.steps.map(s => s.survival), 1, ends[i]));
    series.push({ label: `${g.name} (n = ${g.pairs.length})`, stroke: g.colour, width: 2, paths: stepped, points: { show: false } });
  });
  if (groups.length <= 3) groups.forEach((g, i) => {
    const own = g.steps.map(s => s.time), first = series.length;
    for (const side of ["high", "low"]) {
      data.push(along(own, g.steps.map(s => s[side]), 1, ends[i]));
      series.push({ label: side, stroke: "transparent", width: 0, paths: stepped, points: { show: false }, class: "band" });
    }
    bands.push({ series: [first, first + 1], fill: g.colour + "22" });
  });
  real.forEach(r => {
    data.push(along(r.times, r.survival, 1, r.times[r.times.length - 1]));
    series.push({ label: `real${r.name ? ", " + r.name : ""} (n = ${r.n})`, stroke: r.colour, width: 1.5, dash: [6, 4], paths: stepped, points: { show: false } });
  });
  new_chart($("km"), {
    scales: { x: { time: false }, y: { range: [0, 1.02] } }, bands, series, legend,
    axes: [axis("months"), axis(`without event of ${state.endpoint}`)],
  }, data);
  document.querySelectorAll("#km .band").forEach(row => row.remove());
  numbers_of(groups, Math.max(...ends));
}
function real_curves(groups) {
  const known = DATA.real.curves[state.endpoint] || {};
  const by_class = state.by && column(state.by).group === state.by;
  const wanted = by_class ? groups.map(g => [g.level, g.colour]) : [["", "#000000"]];
  if (by_class && state.filters.length) return [];
  return wanted.filter(([name]) => known[name]).map(([name, colour]) => ({ name, colour, ...known[name] }));
}
function numbers_of(groups, end) {
  const step = [1, 2, 3, 6, 12, 24, 36, 60, 120, 240].find(s => end / s <= 8) || end / 8;
  const ticks = [];
  for (let t = 0; t <= end; t += step) ticks.push(t);
  const head = element("tr", {}, ...["at risk at month", ...ticks].map((t, i) => element("th", i ? { class: "n" } : {}, String(t))),
    ...["events", "median"].map(t => element("th", { class: "n" }, t)));
  $("atrisk").replaceChildren(head, ...groups.map(g => {
    const left = ticks.map(t => g.pairs.filter(p => p[0] >= t).length);
    const half = g.steps.find(s => s.survival <= 0.5);
    const row = element("tr", {}, element("td", { style: `color:${g.colour}` }, g.name),
      ...left.map(n => element("td", { class: "n" }, String(n))),
      element("td", { class: "n" }, String(g.pairs.reduce((sum, p) => sum + p[1], 0))),
      element("td", { class: "n" }, half ? half.time.toFixed(1) : "not reached"));
    return row;
  }));
  const names = ["group", "month", "at risk", "events", "survival", "low", "high"];
  $("steps").replaceChildren(element("tr", {}, ...names.map((n, i) => element("th", i ? { class: "n" } : {}, n))),
    ...groups.flatMap(g => g.steps.map(s => element("tr", { "data-group": g.name }, element("td", {}, g.name),
      ...[s.time, s.at_risk, s.events].map(n => element("td", { class: "n" }, String(n))),
      ...[s.survival, s.low, s.high].map(n => element("td", { class: "n" }, n.toFixed(6)))))));
  if (groups.length > 1) {
    const test = log_rank(groups.map(g => g.pairs)), told = $("logrank");
    told.textContent = Number.isNaN(test.p) ? "Log-rank test: nobody to compare."
      : `Log-rank test of ${groups.length} groups: chi-square ${test.statistic.toFixed(2)}, ${test.p < 0.001 ? "p < 0.001" : "p = " + test.p.toPrecision(2)}.`;
    told.dataset.statistic = test.statistic;
    told.dataset.p = test.p;
  }
}
function draw_distribution(selected) {
  const into = $("distribution"), name = state.show;
  into.replaceChildren();
  if (!name) return;
  const own = column(name), real = DATA.real.columns[name] || {};
  const named = state.filters.length ? "selected" : "synthetic";
  if (own.kind === "number") {
    const edges = real.edges || even_edges(name);
    const count = patients => {
      const known = patients.map(p => value(p, name)).filter(v => v !== null), shares = Array(edges.length - 1).fill(0);
      known.forEach(v => {
        let bin = edges.findIndex((edge, i) => i && v < edge) - 1;
        if (bin < 0) bin = v < edges[0] ? 0 : shares.length - 1;
        shares[bin] += 1 / known.length;
      });
      return [...shares, 0];
    };
    const line = (label, colour, dash) => ({ label, stroke: colour, fill: dash ? undefined : colour + "22", width: 1.5, dash, paths: stepped, points: { show: false } });
    const series = [{ label: own.unit || name }, line(`${named} (n = ${selected.length})`, COLOURS[0])], data = [edges, count(selected)];
    if (state.filters.length) { data.push(count(DATA.patients)); series.push(line("all synthetic", COLOURS[5], [2, 3])); }
    if (real.shares) { data.push([...real.shares, 0]); series.push(line(`real (n = ${DATA.real.n})`, "#000000", [6, 4])); }
    new_chart(into, { scales: { x: { time: false }, y: { range: (u, low, high) => [0, high * 1.05] } }, series, legend,
      axes: [axis(name + (own.unit ? ` (${own.unit})` : "")), axis("share of patients", 58)] }, data);
    return;
  }
  const levels = own.kind === "alteration" ? ["present"] : [...own.levels];
  const share = (patients, level) => {
    const known = patients.filter(p => value(p, name) !== null);
    return known.length ? known.filter(p => level_of(p, name) === level).length / known.length : 0;
  };
  const counts = real.counts || {}, told = Object.entries(counts).filter(([level]) => !level.includes("not recorded"));
  const total = told.reduce((sum, [, n]) => sum + n, 0);
  const of_real = level => own.kind === "alteration" ? real.share : counts[level] === undefined ? null : counts[level] / total;
  const grid = element("div", { class: "levels" });
  const bar = (share, kind, who) => element("div", {}, element("span", { class: "bar " + kind, style: `width:${70 * share}%` }), ` ${percent(share)} ${who}`);
  for (const level of levels) {
    const known = of_real(level);
    grid.append(element("div", {}, level), element("div", {}, bar(share(selected, level), "", named),
      ...(state.filters.length ? [bar(share(DATA.patients, level), "rest", "all synthetic")] : []),
      ...(known === null || known === undefined ? [element("div", { class: "soft" }, "real: withheld or taken together")] : [bar(known, "real", "real")])));
  }
  told.filter(([level]) => !levels.includes(level)).forEach(([level, n]) =>
    grid.append(element("div", {}, level), element("div", {}, bar(n / total, "real", "real"))));
  into.append(grid, element("p", { class: "soft" }, "Of patients in whom it is known."));
}
function even_edges(name) {
  const known = DATA.patients.map(p => value(p, name)).filter(v => v !== null);
  const low = Math.min(...known), high = Math.max(...known), width = (high - low || 1) / 20;
  return Array.from({ length: 21 }, (_, i) => low + i * width);
}
let order = [];
function fitted(pen, text, width) {
  let shown = text;
  for (let length = text.length; length > 1 && pen.measureText(shown).width > width; length--) shown = text.slice(0, length - 1) + "…";
  return shown;
}
function draw_oncoprint(selected) {
  const box = $("oncoprint"), canvas = box.firstElementChild;
  const events = DATA.alterations.slice(0, 24), classes = DATA.classes;
  box.hidden = !events.length;
  if (!events.length) { $("legend").textContent = "This cohort has no alterations."; return; }
  const rank = patient => {
    const own = classes.length ? classes.indexOf(value(patient, "molecular class")) : 0;
    return own < 0 ? classes.length : own;
  };
  order = selected.map(p => [rank(p), ...events.map(e => { const s = value(p, e); return s === 1 ? 0 : s === 0 ? 1 : 2; }), p]);
  order.sort((a, b) => { for (let i = 0; i <= events.length; i++) if (a[i] !== b[i]) return a[i] - b[i]; return 0; });
  order = order.map(row => row[row.length - 1]);
  const narrow = box.clientWidth < 560, left = narrow ? 104 : 140, right = narrow ? 78 : 96, line = 15;
  const rows = events.length + (classes.length ? 1 : 0), width = Math.max(300, box.clientWidth), inner = width - left - right;
  const sharp = window.devicePixelRatio || 1;
  canvas.width = width * sharp; canvas.height = (rows * line + 16) * sharp;
  canvas.style.width = width + "px"; canvas.style.height = rows * line + 16 + "px";
  canvas.dataset.left = left; canvas.dataset.inner = inner;
  const pen = canvas.getContext("2d");
  pen.scale(sharp, sharp);
  pen.font = "11px system-ui, sans-serif"; pen.textBaseline = "middle";
  pen.fillStyle = "#555"; pen.fillText(narrow ? "sel." : "selected", left + inner + 4, 7);
  pen.fillText("real", left + inner + (narrow ? 50 : 58), 7);
  const draw = (y, label, colours, ends) => {
    pen.fillStyle = "#1b1b1b";
    pen.textAlign = "right"; pen.fillText(fitted(pen, label, left - 8), left - 6, y + line / 2);
    pen.textAlign = "left";
    for (let i = 0; i < order.length;) {
      let j = i + 1;
      while (j < order.length && colours[j] === colours[i]) j++;
      pen.fillStyle = colours[i];
      pen.fillRect(left + inner * i / order.length, y + 1, Math.max(inner * (j - i) / order.length, 0.4), line - 3);
      i = j;
    }
    pen.fillStyle = "#555";
    pen.fillText(ends[0], left + inner + 4, y + line / 2);
    pen.fillText(ends[1], left + inner + (narrow ? 42 : 54), y + line / 2);
  };
  let y = 15;
  if (classes.length) {
    draw(y, "molecular class", order.map(p => { const i = classes.indexOf(value(p, "molecular class")); return i < 0 ? "#FFFFFF" : class_colour(i); }), ["", ""]);
    y += line;
  }
  for (const event of events) {
    const known = order.map(p => value(p, event)).filter(s => s !== null), real = DATA.real.columns[event];
    const full = column(event).of === "gene" ? GENE : CHROMOSOME;
    draw(y, event, order.map(p => { const s = value(p, event); return s === null ? "#FFFFFF" : s ? full : ABSENT; }),
      [known.length ? percent(known.filter(s => s).length / known.length) : "", real && real.share !== null && real.share !== undefined ? percent(real.share) : "< 5"]);
    y += line;
  }
  const entry = (colour, text) => [  // swatch and words stay on one line
    element("span", { class: "entry" }, element("span", { class: "bar", style: `width:.75rem;background:${colour}` }), ` ${text}`), " "];
  $("legend").replaceChildren(...classes.flatMap((name, i) => entry(class_colour(i), name)), ...entry(GENE, "gene altered"),
    ...entry(CHROMOSOME, "chromosome altered"), ...entry(ABSENT, "absent; white: unknown"));
}
const class_colour = i => i === DATA.classes.length - 1 ? "#9A9A9A" : COLOURS[i % COLOURS.length];

/* One patient whole. */
function draw_single() {
  const into = $("single"), row = by_id.get(state.patient);
  into.replaceChildren();
  if (row === undefined) return;
  const patient = DATA.patients[row], cards = element("div", { class: "cards" });
  $("patient").value = state.patient;
  const groups = new Map();
  DATA.columns.filter(c => c.kind !== "alteration" && !c.hidden).forEach(c => groups.set(c.group, [...(groups.get(c.group) || []), c]));
  for (const [group, columns] of groups) {
    cards.append(element("div", {}, element("h3", {}, group), element("table", {}, ...columns.map(c => element("tr", {},
      element("td", {}, c.name), element("td", {}, value(patient, c.name) === null ? "not recorded" : `${value(patient, c.name)} ${c.unit || ""}`))))));
  }
  const calls = DATA.mutations[state.patient] || [], events = DATA.columns.filter(c => c.kind === "alteration");
  if (events.length) {
    const carried = events.filter(c => value(patient, c.name) === 1), unknown = events.filter(c => value(patient, c.name) === null).length;
    const lines = carried.map(c => {
      const own = calls.filter(call => call[0] === c.name);
      const text = own.map(call => {
        const fraction = call[2] === null ? "" : `allele fraction ${call[2].toFixed(2)}`;
        return call[1] && fraction ? `${call[1]} (${fraction})` : call[1] || fraction;
      }).filter(Boolean).join("; ");
      return element("tr", {}, element("td", {}, c.name), element("td", {}, text));
    });
    cards.append(element("div", {}, element("h3", {}, `alterations: ${carried.length} of ${events.length - unknown} known`), element("table", {}, ...lines)));
  }
  if (DATA.endpoints.length) cards.append(element("div", {}, element("h3", {}, "course"), course(patient)));
  for (const part of DATA.single) {
    const own = part.patients[state.patient];
    if (!own) continue;
    const body = part.kind === "pictures" ? own.map(source => element("img", { src: source, alt: `${part.title} of ${state.patient}` }))
      : [element("table", {}, ...own.map(line => element("tr", {}, ...line.map(cell => element("td", {}, cell === null ? "" : String(cell))))))];
    cards.append(element("div", {}, element("h3", {}, part.title), ...body));
  }
  into.append(element("h3", {}, `Synthetic patient ${state.patient}`), cards);
}
function course(patient) {
  const ends = DATA.endpoints.map(e => [e, value(patient, e + "_time"), value(patient, e + "_event")]).filter(([, t]) => t !== null);
  if (!ends.length) return element("p", {}, "not recorded");
  const name = "http://www.w3.org/2000/svg", last = Math.max(...ends.map(([, t]) => t), 1);
  const picture = document.createElementNS(name, "svg");
  picture.setAttribute("viewBox", `0 0 420 ${22 * ends.length + 20}`);
  picture.setAttribute("width", "100%");
  const add = (tag, attributes, text) => {
    const made = document.createElementNS(name, tag);
    Object.entries(attributes).forEach(([key, own]) => made.setAttribute(key, own));
    if (text !== undefined) made.textContent = text;
    picture.append(made);
  };
  ends.forEach(([endpoint, time, event], i) => {
    const y = 14 + 22 * i, x = 70 + 130 * time / last;
    add("text", { x: 0, y: y + 4 }, endpoint);
    add("line", { x1: 70, y1: y, x2: x, y2: y, stroke: COLOURS[0], "stroke-width": 3 });
    add("circle", { cx: x, cy: y, r: 5, fill: event ? COLOURS[1] : "#fff", stroke: event ? COLOURS[1] : COLOURS[0], "stroke-width": 2 });
    add("text", { x: x + 10, y: y + 4 }, `${Number(time.toFixed(1))} months, ${event === null ? "unknown" : event ? "event" : "none until then"}`);
  });
  return picture;
}

/* Controls. */
function fill_selects() {
  const option = (name, text = name) => element("option", { value: name }, text);
  const grouped = (into, columns, first) => {
    into.replaceChildren(...first);
    const groups = new Map();
    columns.forEach(c => groups.set(c.group, [...(groups.get(c.group) || []), c]));
    groups.forEach((own, group) => into.append(element("optgroup", { label: group }, ...own.map(c => option(c.name)))));
  };
  grouped($("add"), DATA.columns, [option("", "choose a column or an alteration")]);
  grouped($("by"), DATA.columns.filter(c => !c.hidden), [option("", "selected and all others")]);
  grouped($("show"), DATA.columns.filter(c => !c.hidden), []);
  $("endpoint").replaceChildren(...DATA.endpoints.map(e => option(e)));
  $("ids").replaceChildren(...DATA.patients.map(p => option(p[0])));
}
function open_editor(name) {
  const into = $("editor");
  into.replaceChildren();
  if (!name) return;
  const own = column(name), apply = element("button", { type: "button" }, "Apply");
  let made;
  if (own.kind === "number") {
    const low = element("input", { type: "number", step: "any", "aria-label": "from" }), high = element("input", { type: "number", step: "any", "aria-label": "to" });
    into.append("from ", low, " to ", high, ` ${own.unit || ""} `);
    made = () => ({ name, low: low.value === "" ? -Infinity : +low.value, high: high.value === "" ? Infinity : +high.value });
  } else {
    const levels = own.kind === "alteration" ? ["present", "absent"] : own.levels;
    const boxes = [...levels, UNKNOWN].map(level => element("input", { type: "checkbox", value: level }));
    boxes.forEach(box => into.append(element("label", {}, box, " " + box.value)));
    made = () => ({ name, values: boxes.filter(box => box.checked).map(box => box.value) });
  }
  apply.onclick = () => {
    const filter = made();
    if (!filter.values || filter.values.length) state.filters = [...state.filters.filter(f => f.name !== name), filter];
    $("add").value = ""; open_editor(""); refresh();
  };
  into.append(apply);
}
function worded(filter) {
  if (filter.values) return `${filter.name}: ${filter.values.join(" or ")}`;
  const ends = [Number.isFinite(filter.low) ? `from ${filter.low}` : "", Number.isFinite(filter.high) ? `to ${filter.high}` : ""];
  return `${filter.name} ${ends.filter(Boolean).join(" ") || "known"}`;
}
function refresh(address = true) {
  charts.forEach(([, chart]) => chart.destroy());
  charts = [];
  if (address) write_address();
  const selected = [], others = [];
  DATA.patients.forEach(p => (passes(p) ? selected : others).push(p));
  $("count").textContent = `${selected.length} of ${DATA.patients.length} synthetic patients`;
  $("shown").textContent = DATA.patients.length < DATA.released ? `The page holds the first ${DATA.patients.length} of ${DATA.released} patients; all are in the tables.` : "";
  $("filters").replaceChildren(...state.filters.map(filter => {
    const away = element("button", { type: "button", "aria-label": "remove " + worded(filter) }, "✕");
    away.onclick = () => { state.filters = state.filters.filter(f => f !== filter); refresh(); };
    return element("li", {}, worded(filter), away);
  }));
  $("by").value = state.by; $("endpoint").value = state.endpoint; $("show").value = state.show;
  draw_oncoprint(selected); draw_survival(selected, others); draw_distribution(selected); draw_single();
}
fill_selects();
read_address();
$("add").onchange = event => open_editor(event.target.value);
for (const id of ["by", "endpoint", "show"]) $(id).onchange = event => { state[id] = event.target.value; refresh(); };
$("real").onchange = () => refresh();
$("clear").onclick = () => { state.filters = []; refresh(); };
$("patient").onchange = event => { if (by_id.has(event.target.value)) { state.patient = event.target.value; refresh(); } };
const move = step => () => {
  const near = DATA.patients.filter(passes), at = near.findIndex(p => p[0] === state.patient);
  if (near.length) { state.patient = near[(at + step + near.length) % near.length][0]; refresh(); }
};
$("before").onclick = move(-1);
$("after").onclick = move(1);
$("oncoprint").firstElementChild.onclick = event => {
  const canvas = event.currentTarget, x = event.offsetX - canvas.dataset.left;
  const found = order[Math.floor(order.length * x / canvas.dataset.inner)];
  if (found) { state.patient = found[0]; refresh(); $("h-patient").scrollIntoView(); }
};
window.onhashchange = () => { read_address(); refresh(false); };
let waiting;
window.onresize = () => { clearTimeout(waiting); waiting = setTimeout(() => refresh(false), 150); };
refresh(false);
})();
