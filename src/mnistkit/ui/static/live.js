"use strict";
// Polling, and drawing what is polled. All text is set as text: no markup is ever parsed.

const ACTIVE_MS = 2000, QUIET_MS = 8000, LOST_MS = 10000;
const LET_IN = "This browser isn't let in any more: open the address that the terminal shows.";
const element = id => document.getElementById(id);

/** Show a text in a note, or hide the note if there is none. */
function note(id, text) {
  element(id).hidden = !text;
  if (element(id).textContent !== text) element(id).textContent = text;
}

/** Return what the server answers as JSON; null if it doesn't, or refuses: the next poll says why. */
async function fetchJson(address) {
  try {
    const response = await fetch(address, { cache: "no-store" });
    return response.status === 200 ? await response.json() : null;
  } catch (error) {
    if (error instanceof TypeError) return null;
    throw error;
  }
}

/** Poll an address while the page is visible: often while something happens, seldom otherwise. */
class Poll {
  constructor(address, show) {
    this.address = address;
    this.show = show;
    this.etag = "";
    this.isActive = true;
    this.round = 0;
    document.addEventListener("visibilitychange", () => { if (!document.hidden) this.restart(); });
    this.restart();
  }

  /** Poll at once, whatever was known before, if `afresh`. */
  restart(afresh = false) {
    if (afresh) this.etag = "";
    clearTimeout(this.timer);
    this.round += 1;
    this.run(this.round);
  }

  async run(round) {
    if (document.hidden) return;
    let pause = LOST_MS;
    try {
      const headers = this.etag ? { "If-None-Match": this.etag } : {};
      const response = await fetch(this.address(), { headers, cache: "no-store" });
      if (round !== this.round) return;
      if (response.status === 200) {
        const data = await response.json();
        if (round !== this.round) return;
        this.etag = response.headers.get("ETag") || "";
        this.isActive = this.show(data) === true;
      } else if (response.status !== 304) {
        note("connection", response.status === 403 ? LET_IN : (await response.json()).error);
        if (response.status < 500) return;
      }
      if (response.status < 400) {
        note("connection", "");
        pause = this.isActive ? ACTIVE_MS : QUIET_MS;
      }
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      note("connection", "The server doesn't answer: it was ended, perhaps. What is shown is as of its last answer.");
    }
    if (round === this.round) this.timer = setTimeout(() => this.run(round), pause);
  }
}

function stateNodes(word) {
  const dot = html("span", "", "dot");
  dot.classList.add(`state-${word}`);
  dot.setAttribute("aria-hidden", "true");
  return [dot, word];
}

/** Draw a summary: its facts, its time line, its tables and its texts; what is unfolded stays so. */
function drawSummary(container, summary) {
  const open = new Set([...container.querySelectorAll("details[open]")].map(each => each.dataset.title));
  const parts = [];
  if (summary.facts.length) {
    const list = html("dl", "", "facts");
    for (const [name, value] of summary.facts) {
      const item = html("div");
      item.append(html("dt", name), html("dd", value));
      list.append(item);
    }
    parts.push(list);
  }
  if (summary.timeline.length) parts.push(phases(summary.timeline));
  for (const table of summary.tables) parts.push(table.folded ? folded(table.title, tableOf(table), open) : tableOf(table));
  for (const text of summary.texts) parts.push(folded(text.title, html("pre", text.text), open));
  if (summary.note) parts.push(html("p", summary.note, "hint"));
  container.replaceChildren(...parts);
}

function phases(spans) {
  const bar = html("div", "", "phases");
  bar.setAttribute("role", "img");
  bar.setAttribute("aria-label", `Time line: ${spans.map(span => `${span.label} ${span.seconds.toFixed(1)} s`).join(", ")}`);
  const total = spans.reduce((sum, span) => sum + span.seconds, 0) || 1;
  for (const span of spans) {
    const part = html("span", "", `state-${span.state}`);
    part.style.flexGrow = String(span.seconds / total);
    part.title = `${span.label} ${span.seconds.toFixed(1)} s`;
    bar.append(part);
  }
  return bar;
}

function folded(title, body, open) {
  const details = html("details");
  details.dataset.title = title;
  details.open = open.has(title);
  details.append(html("summary", title), body);
  return details;
}

function tableOf(table) {
  const region = html("div", "", "scroll"), drawn = html("table"), head = html("tr"), body = html("tbody");
  region.tabIndex = 0;
  region.setAttribute("role", "region");
  region.setAttribute("aria-label", table.title);
  table.headings.forEach((heading, i) => {
    const cell = html("th", heading, table.numeric[i] ? "n" : "");
    cell.scope = "col";
    head.append(cell);
  });
  for (const row of table.rows) {
    const line = html("tr");
    row.forEach((value, i) => {
      const cell = html(i ? "td" : "th", value, table.numeric[i] ? "n" : "");
      if (!i) cell.scope = "row";
      line.append(cell);
    });
    body.append(line);
  }
  const heads = html("thead");
  heads.append(head);
  drawn.append(html("caption", table.title), heads, body);
  region.append(drawn);
  return region;
}
