"use strict";
// The live list of runs: the report's table and charts, filled by polling.

const SERIES_RUNS = 12;

class LiveRuns extends Overview {
  constructor() {
    super();
    this.series = {};
    this.final = new Set();
    this.kept = new Map();
    this.form = element("query");
    this.poll = new Poll(() => this.address(), data => this.receive(data));
    this.form.addEventListener("submit", event => { event.preventDefault(); this.choose(); });
    element("compare").addEventListener("click", () => {
      location.href = `/compare?${[...this.ticked].map(id => `run=${encodeURIComponent(id)}`).join("&")}`;
    });
  }

  texts() { return [...new FormData(this.form)].filter(([, value]) => value.trim()); }

  address() {
    const query = new URLSearchParams(this.texts());
    if (this.form.dataset.sweep) query.set("sweep", this.form.dataset.sweep);
    return `/api/runs?${query}`;
  }

  /** Show what the form says, and keep it in the page's address. */
  choose() {
    const query = new URLSearchParams(this.texts());
    if (this.form.dataset.sweep) query.set("name", this.form.dataset.sweep);
    history.replaceState(null, "", `${location.pathname}${query.size ? `?${query}` : ""}`);
    this.sort = null;
    this.poll.restart(true);
  }

  receive(data) {
    note("problem", data.problem);
    const states = new Map();
    for (const run of data.runs) states.set(run.state, (states.get(run.state) || 0) + 1);
    const parts = [...states].map(([state, n]) => `${n} ${state}`);
    if (data.total > data.runs.length) parts.push(`the first ${data.runs.length} of ${data.total}: a filter finds the others`);
    element("states").textContent = parts.join(", ") || "There are no such runs.";
    const focused = document.activeElement;
    this.update({ ...data, series: this.series });
    if (focused && focused !== document.activeElement && focused.isConnected) focused.focus({ preventScroll: true });
    return data.active;
  }

  fill(id, values, isFilter = false, preferred = "") {
    const shownBefore = [...byId(id).options].map(option => option.value).filter(value => !isFilter || value);
    if (shownBefore.length !== values.length || values.some((value, i) => value !== shownBefore[i])) super.fill(id, values, isFilter, preferred);
  }

  findColumns() {
    const found = super.findColumns();
    if (this.runs.some(run => run.progress)) found.splice(2, 0, this.columnOf("progress"));
    const names = this.data.columns;
    const columns = names.length ? ["run", ...names.filter(name => name !== "run")].map(name => found.find(each => each.name === name) || this.columnOf(name)) : found;
    this.layout = columns.map(column => `${column.name} ${column.isNumber}`).join("\n");
    return columns;
  }

  /** Return a column that the report's table leaves out. */
  columnOf(name) {
    const dot = name.indexOf("."), group = dot > 0 ? name.slice(0, dot) : "";
    const get = ["metrics", "params", "tags"].includes(group) ? run => run[group][name.slice(dot + 1)]
      : name === "tags" ? run => Object.entries(run.tags).map(pair => pair.join("=")).join(", ") : run => run[name];
    const isTime = ["created", "started", "finished"].includes(name);
    const values = this.runs.map(get).filter(value => value !== null && value !== undefined && value !== "");
    return { name, get, group, isNumber: values.length > 0 && values.every(value => typeof value === "number"), write: isTime ? time : undefined };
  }

  makeRow(run) {
    const kept = this.kept.get(run.id), key = `${this.layout}\n${run.words}`;
    if (kept && kept.key === key) return kept.row;
    const row = super.makeRow(run), cell = row.querySelector("th"), button = cell.querySelector("button"), link = html("a", run.id);
    button.textContent = "";
    button.setAttribute("aria-label", `Facts of run ${run.id}`);
    link.href = `/runs/${encodeURIComponent(run.id)}`;
    cell.append(" ", link);
    this.kept.set(run.id, { key, row });
    return row;
  }

  drawTable() {
    super.drawTable();
    element("compare").disabled = this.ticked.size < 2;
  }

  drawCurvesNow() {
    super.drawCurvesNow();
    this.fetchSeries();
  }

  /** Fetch the curves of the runs that are drawn, if they aren't known or may have changed. */
  async fetchSeries() {
    const runs = this.ticked.size ? this.runs.filter(run => this.ticked.has(run.id)) : this.visible();
    const wanted = runs.slice(0, SERIES_RUNS).filter(run => !this.final.has(run.id) && this.fetched?.get(run.id) !== run.words);
    if (!wanted.length || document.hidden) return;
    this.fetched = this.fetched || new Map();
    for (const run of wanted) this.fetched.set(run.id, run.words);
    const found = await fetchJson(`/api/series?${wanted.map(run => `run=${encodeURIComponent(run.id)}`).join("&")}`);
    if (!found) return;
    Object.assign(this.series, found.series);
    for (const id of found.final) this.final.add(id);
    this.fill("curve-metric", [...new Set(Object.values(this.series).flatMap(each => Object.keys(each)))]);
    super.drawCurvesNow();
  }
}

window.runs = new LiveRuns();
