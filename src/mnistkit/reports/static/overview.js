"use strict";
// The page of many runs. A live page calls Overview.update with new data; a report has its data in itself.

const PAGE_ROWS = 100, MAX_METRICS = 8, MAX_PARAMS = 8, MAX_CURVES = 12, MAX_AXES = 7, DEFAULT_CURVES = 6;
const CELL_CLASSES = { estimator: "text long", note: "text", error: "text", tags: "text" };
const byId = id => document.getElementById(id);

class Overview {
  constructor() {
    this.ticked = new Set();
    this.unfolded = new Set();
    this.brushes = {};
    this.sort = null;
    this.limit = PAGE_ROWS;
    this.rows = new Map();
    for (const id of ["find", "state", "on-data", "experiment"]) byId(id).addEventListener("input", () => { this.limit = PAGE_ROWS; this.draw(); });
    for (const id of ["curve-metric", "curve-log", "scatter-x", "scatter-y", "parallel-metric"]) byId(id).addEventListener("input", () => this.drawCharts());
    byId("more").addEventListener("click", () => { this.limit += 1000; this.drawTable(); });
    byId("untick").addEventListener("click", () => { this.ticked.clear(); this.draw(); });
    byId("tick-best").addEventListener("click", () => this.tickBest());
    let waiting = 0;
    addEventListener("resize", () => { clearTimeout(waiting); waiting = setTimeout(() => this.drawCharts(), 150); });
  }

  /** Show runs: the value that overview_data returns, with the colours of states. */
  update(data) {
    this.data = data;
    this.runs = data.runs.map(run => ({ ...run, words: JSON.stringify(run).toLowerCase() }));
    this.rows.clear();
    this.columns = this.findColumns();
    this.fill("state", [...new Set(this.runs.map(run => run.state))], true);
    this.fill("on-data", [...new Set(this.runs.map(run => run.data))].sort(), true);
    this.fill("experiment", [...new Set(this.runs.map(run => run.experiment))].sort(), true);
    const series = [...new Set(Object.values(data.series).flatMap(each => Object.keys(each)))];
    this.fill("curve-metric", series);
    const numeric = this.columns.filter(column => column.isNumber);
    const names = numeric.map(column => column.name), metrics = numeric.filter(column => column.group === "metrics").map(column => column.name);
    this.fill("scatter-x", names, false, names.find(name => name.startsWith("params.")) || "duration");
    this.fill("scatter-y", names, false, `metrics.${data.metric}`);
    this.fill("parallel-metric", metrics.length ? metrics : names, false, `metrics.${data.metric}`);
    this.drawHead();
    this.draw();
  }

  fill(id, values, isFilter = false, preferred = "") {
    const select = byId(id), before = select.value;
    const options = values.map(value => { const option = html("option", this.label(value)); option.value = value; return option; });
    select.replaceChildren(...(isFilter ? [select.options[0]] : []), ...options);
    const chosen = [before, preferred].find(value => values.includes(value));
    if (chosen !== undefined) select.value = chosen;
  }

  label(name) { return name.replace(/^(metrics|params)\./, ""); }

  /** Return the columns that the runs have: the metrics and parameters that differ, the most frequent first. */
  findColumns() {
    const column = (name, get, more = {}) => ({ name, get, isNumber: false, group: "", ...more });
    const number = (name, get, write) => column(name, get, { isNumber: true, write });
    const found = group => {
      const seen = new Map();
      for (const run of this.runs) for (const [name, value] of Object.entries(run[group])) {
        if (!seen.has(name)) seen.set(name, { values: new Set(), n: 0, isNumber: true });
        const entry = seen.get(name);
        entry.values.add(value);
        entry.n += 1;
        entry.isNumber &&= typeof value === "number";
      }
      const of = ([name, entry]) => column(`${group}.${name}`, run => run[group][name], { group, isNumber: entry.isNumber, differs: entry.values.size > 1 || entry.n < this.runs.length });
      return [...seen].sort((a, b) => (b[0] === this.data.metric) - (a[0] === this.data.metric) || b[1].n - a[1].n).map(of);
    };
    const metrics = found("metrics"), params = found("params").filter(each => each.differs);
    const isUsed = name => this.runs.some(run => name === "tags" ? Object.keys(run.tags).length : run[name] !== "" && run[name] !== null);
    return [
      column("run", run => run.id), column("state", run => run.state), ...metrics.slice(0, 1),
      number("duration", run => run.duration, lasting), number("created", run => run.created, time),
      column("data", run => run.data), column("estimator", run => run.estimator), column("experiment", run => run.experiment),
      ...["note", "error"].filter(isUsed).map(name => column(name, run => run[name])),
      ...(isUsed("tags") ? [column("tags", run => Object.entries(run.tags).map(pair => pair.join("=")).join(", "))] : []),
      ...metrics.slice(1, MAX_METRICS), ...params.slice(0, MAX_PARAMS),
      ...["seed", "limit"].filter(name => new Set(this.runs.map(run => run[name])).size > 1).map(name => number(name, run => run[name])),
    ];
  }

  column(name) { return this.columns.find(column => column.name === name); }

  /** Return the runs that the search, the choices and the brushes keep, in the order of the table. */
  visible() {
    const words = byId("find").value.toLowerCase().split(/\s+/).filter(Boolean);
    const [state, data, experiment] = ["state", "on-data", "experiment"].map(id => byId(id).value);
    const kept = this.runs.filter(run => (!state || run.state === state) && (!data || run.data === data)
      && (!experiment || run.experiment === experiment) && words.every(word => run.words.includes(word)) && (!this.brushed || this.brushed.has(run.id)));
    if (!this.sort) return kept;
    const { column, sign } = this.sort;
    const isMissing = value => value === null || value === undefined || value === "";
    return kept.map(run => [column.get(run), run]).sort(([a], [b]) => {
      if (isMissing(a) || isMissing(b)) return isMissing(a) - isMissing(b);
      if (typeof a === "number" && typeof b === "number") return sign * (a - b);
      return sign * COLLATOR.compare(String(a), String(b));
    }).map(([, run]) => run);
  }

  draw() { this.drawTable(); this.drawCharts(); }

  drawHead() {
    const row = html("tr");
    row.append(html("th"));
    for (const column of this.columns) {
      const cell = html("th", "", column.isNumber ? "n" : ""), button = html("button", this.label(column.name));
      cell.scope = "col";
      button.type = "button";
      button.addEventListener("click", () => this.sortBy(column));
      cell.append(button);
      row.append(cell);
    }
    document.querySelector("#table thead").replaceChildren(row);
  }

  sortBy(column) {
    const isSame = this.sort && this.sort.column === column;
    const first = column.isNumber ? -1 : 1;
    this.sort = { column, sign: isSame ? -this.sort.sign : first };
    [...document.querySelectorAll("#table thead th")].slice(1).forEach((cell, i) => {
      if (this.columns[i] === column) cell.setAttribute("aria-sort", this.sort.sign > 0 ? "ascending" : "descending");
      else cell.removeAttribute("aria-sort");
    });
    this.drawTable();
    if (!this.ticked.size) this.drawCurvesNow();
  }

  drawTable() {
    const runs = this.visible(), shownRuns = runs.slice(0, this.limit);
    const rows = shownRuns.flatMap(run => this.unfolded.has(run.id) ? [this.row(run), this.facts(run)] : [this.row(run)]);
    document.querySelector("#table tbody").replaceChildren(...rows);
    byId("count").textContent = `${runs.length} of ${this.runs.length} runs${this.ticked.size ? `, ${this.ticked.size} ticked` : ""}`;
    byId("more").hidden = runs.length <= this.limit;
    byId("more").textContent = `Show more of the other ${runs.length - shownRuns.length} runs`;
  }

  row(run) {
    if (!this.rows.has(run.id)) this.rows.set(run.id, this.makeRow(run));
    const row = this.rows.get(run.id), isTicked = this.ticked.has(run.id);
    row.className = isTicked ? "ticked" : "";
    row.querySelector("input").checked = isTicked;
    row.querySelector("th button").setAttribute("aria-expanded", this.unfolded.has(run.id));
    return row;
  }

  makeRow(run) {
    const row = html("tr"), tick = html("td"), box = html("input");
    box.type = "checkbox";
    box.setAttribute("aria-label", `Choose run ${run.id}`);
    box.addEventListener("change", () => this.toggle(run.id));
    tick.append(box);
    row.append(tick);
    for (const column of this.columns) {
      const value = column.get(run), text = column.write ? column.write(value) : shown(value);
      if (column.name === "run") {
        const cell = html("th"), button = html("button", text);
        cell.scope = "row";
        button.type = "button";
        button.addEventListener("click", () => { if (!this.unfolded.delete(run.id)) this.unfolded.add(run.id); this.drawTable(); });
        cell.append(button);
        row.append(cell);
      } else {
        const cell = html("td", text, column.isNumber ? "n" : CELL_CLASSES[column.name] || "");
        if (column.name === "state") {
          const dot = html("span", "", "dot");
          dot.style.background = this.data.colours[run.state] || "#8a8a8a";
          dot.setAttribute("aria-hidden", "true");
          cell.prepend(dot);
        }
        row.append(cell);
      }
    }
    return row;
  }

  facts(run) {
    const row = html("tr", "", "facts"), cell = html("td"), list = html("dl");
    const groups = ["params", "metrics", "tags"].flatMap(group => Object.entries(run[group]));
    for (const [name, value] of [["experiment", run.experiment], ["data", run.data], ["estimator", run.estimator], ["created", time(run.created)],
      ["duration", lasting(run.duration)], ["seed", run.seed], ["note", run.note], ["error", run.error], ...groups]) {
      if (value === null || value === "") continue;
      const item = html("div");
      item.append(html("dt", name), html("dd", shown(value)));
      list.append(item);
    }
    cell.colSpan = this.columns.length + 1;
    cell.append(list);
    row.append(cell);
    return row;
  }

  toggle(id) {
    if (!this.ticked.delete(id)) this.ticked.add(id);
    this.draw();
  }

  tickBest() {
    const column = this.column(`metrics.${this.data.metric}`);
    if (!column) return;
    const known = this.visible().filter(run => typeof column.get(run) === "number");
    this.ticked = new Set(known.sort((a, b) => column.get(b) - column.get(a)).slice(0, 5).map(run => run.id));
    this.draw();
  }

  colourOf(id) {
    const place = [...this.ticked].indexOf(id);
    return place < 0 ? "#7f7f7f" : PALETTE[place % PALETTE.length];
  }

  nameOf(run) { return `${run.id.slice(-6)} ${run.estimator}`; }

  drawCharts() {
    this.drawParallelNow();
    this.drawCurvesNow();
    const [x, y] = ["scatter-x", "scatter-y"].map(id => this.column(byId(id).value));
    if (!x || !y) return empty(byId("scatter-chart"), "The runs have no figures.");
    const items = this.visible().map(run => ({
      name: `${this.nameOf(run)}: ${this.label(x.name)} ${shown(x.get(run))}, ${this.label(y.name)} ${shown(y.get(run))}`,
      x: x.get(run), y: y.get(run), colour: this.colourOf(run.id), isChosen: this.ticked.has(run.id), pick: () => this.toggle(run.id),
    }));
    drawScatter(byId("scatter-chart"), items, this.label(x.name), this.label(y.name), x.group === "params" && isWide(items.map(item => item.x)));
  }

  drawCurvesNow() {
    const metric = byId("curve-metric").value, has = run => this.data.series[run.id]?.[metric];
    if (!metric) return empty(byId("curve-chart"), "None of the runs has logged a metric over several steps.");
    const visible = this.visible().filter(has), chosen = this.runs.filter(run => this.ticked.has(run.id) && has(run));
    const runs = (this.ticked.size ? chosen.slice(0, MAX_CURVES) : visible.slice(0, DEFAULT_CURVES));
    const curves = runs.map((run, i) => ({
      name: this.nameOf(run), points: has(run), colour: this.ticked.size ? this.colourOf(run.id) : PALETTE[i % PALETTE.length],
    }));
    drawCurves(byId("curve-chart"), curves, "step", metric, byId("curve-log").checked);
  }

  drawParallelNow() {
    const result = this.column(byId("parallel-metric").value);
    const params = this.columns.filter(column => column.group === "params").slice(0, MAX_AXES - 1);
    this.brushed = null;
    const runs = this.visible().filter(run => result && typeof result.get(run) === "number");
    const axes = [...params, ...(result ? [result] : [])];
    const lines = runs.map(run => ({ id: run.id, name: this.nameOf(run), values: axes.map(axis => axis.get(run)), result: result.get(run) }));
    const kept = drawParallel(byId("parallel-chart"), axes.map(axis => this.label(axis.name)), lines, this.brushes, (name, range) => {
      if (range) this.brushes[name] = range; else delete this.brushes[name];
      this.drawCharts();
      this.draw();
    });
    this.brushed = Object.keys(this.brushes).length && kept ? new Set(kept) : null;
  }
}

function time(seconds) {
  if (seconds === null || seconds === undefined) return "";
  const date = new Date(seconds * 1000), two = n => String(n).padStart(2, "0");
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${two(date.getHours())}:${two(date.getMinutes())}`;
}

function lasting(seconds) {
  if (seconds === null || seconds === undefined) return "";
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds), two = n => String(n).padStart(2, "0");
  return whole < 3600 ? `${Math.floor(whole / 60)}:${two(whole % 60)}` : `${Math.floor(whole / 3600)}:${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
}

if (byId("data")) {
  window.overview = new Overview();
  window.overview.update(JSON.parse(byId("data").textContent));
}
