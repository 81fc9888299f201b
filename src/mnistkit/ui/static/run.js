"use strict";
// The live page of a run: its state, its curves, its log, its facts.

const MAX_LOG_CHARS = 400000, MIN_END_PX = 40;

class LiveRun {
  constructor() {
    this.path = `/api${element("run").dataset.path}`;
    this.series = {};
    this.start = 0;
    this.isReading = false;
    for (const id of ["curve-metric", "curve-log"]) element(id).addEventListener("input", () => this.drawCurves());
    element("cancel").addEventListener("submit", event => { if (!confirm("Cancel this run?")) event.preventDefault(); });
    let waiting = 0;
    addEventListener("resize", () => { clearTimeout(waiting); waiting = setTimeout(() => this.drawCurves(), 150); });
    this.poll = new Poll(() => this.path, run => this.receive(run));
  }

  receive(run) {
    element("state").replaceChildren(...stateNodes(run.state));
    element("progress").textContent = run.progress && `\u00b7 ${run.progress}`;
    element("cancel").hidden = run.finished;
    drawSummary(element("summary"), run.summary);
    this.series = run.series;
    const names = Object.keys(run.series), select = element("curve-metric");
    if (names.join("\n") !== [...select.options].map(option => option.value).join("\n")) {
      const before = select.value;
      select.replaceChildren(...names.map(name => { const option = html("option", name); option.value = name; return option; }));
      if (names.includes(before)) select.value = before;
    }
    this.drawCurves();
    this.readLog();
    return !run.finished;
  }

  drawCurves() {
    const metric = element("curve-metric").value, points = this.series[metric];
    element("curve-bar").hidden = !points;
    if (!points) return empty(element("curve-chart"), "It has logged no metric over several steps.");
    drawCurves(element("curve-chart"), [{ name: metric, points, colour: PALETTE[0] }], "step", metric, element("curve-log").checked);
  }

  async readLog() {
    if (this.isReading) return;
    this.isReading = true;
    try {
      for (let more = true; more;) {
        const part = await fetchJson(`${this.path}/log?start=${this.start}`);
        if (!part) return;
        more = part.next > this.start;
        this.start = part.next;
        if (part.skipped) note("log-skipped", "Its beginning is left out here: 'mnistkit runs logs' prints all of it.");
        if (part.text) this.append(part.text);
      }
    } finally {
      this.isReading = false;
    }
  }

  append(text) {
    const log = element("log"), isAtEnd = log.scrollHeight - log.scrollTop - log.clientHeight < MIN_END_PX;
    log.append(text);
    while (log.childNodes.length > 1 && log.textContent.length > MAX_LOG_CHARS) log.firstChild.remove();
    if (isAtEnd) log.scrollTop = log.scrollHeight;
  }
}

window.run = new LiveRun();
