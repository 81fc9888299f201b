"use strict";
// Charts as SVG. Every text is set as text, and every attribute is a number or a word of this file.

const PALETTE = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#3b9bd6", "#8b5cf6", "#7f7f7f"];
const MARGIN = { top: 14, right: 18, bottom: 42, left: 64 };
const MIN_LOG_RATIO = 10;
const COLLATOR = new Intl.Collator("en", { numeric: true });

/** Return a number with four significant digits, as the rest of mnistkit writes it. */
function shown(value) {
  if (typeof value !== "number") return value === null || value === undefined ? "" : String(value);
  if (Number.isInteger(value) && Math.abs(value) < 1e7) return String(value);
  if (Math.abs(value) >= 1e3 && Math.abs(value) < 1e7) return String(Math.round(value));
  const [digits, exponent] = value.toPrecision(4).split("e");
  const short = digits.includes(".") ? digits.replace(/\.?0+$/, "") : digits;
  return exponent ? `${short}e${exponent}` : Math.abs(value) < 1e-4 && value ? value.toExponential(3) : short;
}

function svg(name, attributes = {}, text = "") {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text) element.textContent = text;
  return element;
}

function html(name, text = "", className = "") {
  const element = document.createElement(name);
  if (text) element.textContent = text;
  if (className) element.className = className;
  return element;
}

/** Return a scale from values to pixels: linear, logarithmic, or one place for each text. */
function scaleOf(values, from, to, isLog = false) {
  const known = values.filter(value => value !== null && value !== undefined && value !== "");
  if (!known.length) return { at: () => (from + to) / 2, ticks: [] };
  if (known.some(value => typeof value !== "number")) {
    const names = [...new Set(known.map(String))].sort(COLLATOR.compare);
    const step = (to - from) / Math.max(names.length - 1, 1);
    const place = name => names.length === 1 ? (from + to) / 2 : from + names.indexOf(String(name)) * step;
    return { at: place, ticks: names.slice(0, 12).map(name => [place(name), name.slice(0, 18)]) };
  }
  let low = known.reduce((a, b) => Math.min(a, b)), high = known.reduce((a, b) => Math.max(a, b));
  const log = isLog && low > 0;
  if (low === high) [low, high] = log ? [low / 2, high * 2] : [low - (Math.abs(low) || 1) / 2, high + (Math.abs(high) || 1) / 2];
  const map = log ? Math.log10 : value => value;
  const [a, b] = [map(low), map(high)];
  const at = value => from + (map(value) - a) / (b - a) * (to - from);
  return { at, ticks: (log ? logTicks(low, high) : linearTicks(low, high)).map(value => [at(value), shown(value)]) };
}

function linearTicks(low, high) {
  const rough = (high - low) / 5, power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find(each => each * power >= rough);
  const found = [];
  for (let i = Math.ceil(low / step); i * step <= high + step * 1e-9 && found.length < 20; i++) found.push(Number((i * step).toPrecision(12)));
  return found;
}

function logTicks(low, high) {
  const found = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++) {
    for (const each of high / low > 1e3 ? [1] : [1, 2, 5]) {
      const value = each * 10 ** power;
      if (value >= low * 0.999 && value <= high * 1.001) found.push(Number(value.toPrecision(6)));
    }
  }
  return found.length > 1 ? found : [low, high];
}

/** Return an empty drawing in a container, which must be visible, with its inner box. */
function canvasIn(container, height, label) {
  const width = Math.max(300, Math.min(container.clientWidth || 700, 980));
  const root = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": label });
  container.replaceChildren(root);
  return { root, left: MARGIN.left, right: width - MARGIN.right, top: MARGIN.top, bottom: height - MARGIN.bottom };
}

function empty(container, text) {
  container.replaceChildren(html("p", text, "empty"));
}

function drawAxes(box, x, y, xName, yName) {
  for (const [place, text] of y.ticks) {
    box.root.append(svg("line", { class: "grid", x1: box.left, x2: box.right, y1: place, y2: place }));
    box.root.append(svg("text", { class: "quiet", x: box.left - 8, y: place + 4, "text-anchor": "end" }, text));
  }
  let free = -Infinity;
  for (const [place, text] of x.ticks) {
    if (place - text.length * 3.4 < free) continue;
    free = place + text.length * 3.4 + 8;
    box.root.append(svg("text", { class: "quiet", x: place, y: box.bottom + 18, "text-anchor": "middle" }, text));
  }
  box.root.append(svg("path", { class: "axis", d: `M${box.left} ${box.top}V${box.bottom}H${box.right}` }));
  box.root.append(svg("text", { x: (box.left + box.right) / 2, y: box.bottom + 36, "text-anchor": "middle" }, xName));
  box.root.append(svg("text", { x: 12, y: (box.top + box.bottom) / 2, "text-anchor": "middle", transform: `rotate(-90 12 ${(box.top + box.bottom) / 2})` }, yName));
}

/** Draw curves: a list of {name, colour, points: [[x, y], ...]}. */
function drawCurves(container, curves, xName, yName, isLog) {
  const usable = isLog ? curves.map(each => ({ ...each, points: each.points.filter(point => point[1] > 0) })) : curves;
  const points = usable.flatMap(each => each.points);
  if (!points.length) return empty(container, "None of the runs shown has logged this over several steps.");
  const box = canvasIn(container, 320, `Curves of ${yName} of ${curves.length} runs`);
  const x = scaleOf(points.map(point => point[0]), box.left, box.right);
  const y = scaleOf(points.map(point => point[1]), box.bottom, box.top, isLog);
  drawAxes(box, x, y, xName, yName);
  const legend = html("ul", "", "legend");
  for (const curve of usable) {
    const path = curve.points.map(([a, b], i) => `${i ? "L" : "M"}${x.at(a).toFixed(1)} ${y.at(b).toFixed(1)}`).join("");
    const line = svg("path", { class: "line", d: path, stroke: curve.colour });
    line.append(svg("title", {}, curve.name));
    box.root.append(line);
    const item = html("li"), mark = html("i");
    mark.style.background = curve.colour;
    item.append(mark, curve.name);
    legend.append(item);
  }
  container.append(legend);
}

/** Draw points: a list of {name, x, y, colour, isChosen, pick}. */
function drawScatter(container, items, xName, yName, isLogX) {
  const known = items.filter(item => typeof item.y === "number" && item.x !== null && item.x !== undefined && item.x !== "");
  if (!known.length) return empty(container, "None of the runs shown has both figures.");
  const box = canvasIn(container, 340, `${yName} against ${xName} of ${known.length} runs`);
  const x = scaleOf(known.map(item => item.x), box.left + 10, box.right - 10, isLogX);
  const y = scaleOf(known.map(item => item.y), box.bottom - 10, box.top + 10);
  drawAxes(box, x, y, xName, yName);
  for (const item of known.sort((a, b) => a.isChosen - b.isChosen)) {
    const style = item.isChosen ? { r: 6, "fill-opacity": 1 } : { r: 4, "fill-opacity": .45 };
    const point = svg("circle", { cx: x.at(item.x), cy: y.at(item.y), fill: item.colour, ...style });
    point.append(svg("title", {}, item.name));
    point.addEventListener("click", item.pick);
    box.root.append(point);
  }
}

function isWide(values) {
  const known = values.filter(value => typeof value === "number");
  if (!known.length || known.length < values.length) return false;
  const low = known.reduce((a, b) => Math.min(a, b)), high = known.reduce((a, b) => Math.max(a, b));
  return low > 0 && high / low >= MIN_LOG_RATIO;
}

/** Draw parallel coordinates: axes are names, lines are {name, values, result}; brushes hold a range of pixels by axis. */
function drawParallel(container, axes, lines, brushes, onBrush) {
  if (!lines.length || axes.length < 2) return empty(container, "There is nothing to set side by side: the runs shown have the same parameters, or no result.");
  const box = canvasIn(container, 360, `Parallel coordinates of ${lines.length} runs: ${axes.join(", ")}`);
  [box.left, box.top, box.bottom] = [46, 34, 336];
  const places = axes.map((_, i) => box.left + i * (box.right - 30 - box.left) / (axes.length - 1));
  const scales = axes.map((_, i) => {
    const values = lines.map(line => line.values[i]).filter(value => value !== null && value !== undefined);
    return scaleOf(values, box.bottom, box.top, isWide(values));
  });
  const results = scaleOf(lines.map(line => line.result), 0, 1);
  const isKept = line => axes.every((name, i) => {
    const brush = brushes[name], value = line.values[i];
    if (!brush) return true;
    const place = value === null || value === undefined ? NaN : scales[i].at(value);
    return place >= brush[0] && place <= brush[1];
  });
  for (const line of [...lines].sort((a, b) => isKept(a) - isKept(b))) {
    const known = line.values.map((value, i) => [value, i]).filter(([value]) => value !== null && value !== undefined);
    const path = known.map(([value, i], n) => `${n ? "L" : "M"}${places[i].toFixed(1)} ${scales[i].at(value).toFixed(1)}`).join("");
    const hue = 225 - 190 * results.at(line.result);
    const style = isKept(line) ? { "stroke-opacity": .75 } : { "stroke-opacity": .08 };
    const drawn = svg("path", { class: "line", d: path, stroke: `hsl(${hue.toFixed(0)} 75% 48%)`, ...style });
    drawn.append(svg("title", {}, line.name));
    box.root.append(drawn);
  }
  axes.forEach((name, i) => {
    const label = name.length > 18 ? `${name.slice(0, 17)}…` : name;
    box.root.append(svg("path", { class: "axis", d: `M${places[i]} ${box.top}V${box.bottom}` }));
    box.root.append(svg("text", { x: places[i], y: box.top - (i % 2 ? 20 : 8), "text-anchor": i === axes.length - 1 ? "end" : "middle" }, label));
    for (const [place, text] of scales[i].ticks) box.root.append(svg("text", { class: "quiet", x: places[i] + 5, y: place + 4 }, text));
    if (brushes[name]) box.root.append(svg("rect", { class: "brush", x: places[i] - 8, width: 16, y: brushes[name][0], height: brushes[name][1] - brushes[name][0] }));
    const area = svg("rect", { class: "catch", x: places[i] - 14, width: 28, y: box.top - 6, height: box.bottom - box.top + 12, "data-axis": name });
    let start = null;
    const place = event => Math.min(Math.max((event.clientY - box.root.getBoundingClientRect().top) * 360 / box.root.getBoundingClientRect().height, box.top - 6), box.bottom + 6);
    area.addEventListener("pointerdown", event => { start = place(event); area.setPointerCapture(event.pointerId); });
    area.addEventListener("pointerup", event => {
      const end = place(event);
      onBrush(name, Math.abs(end - start) < 4 ? null : [Math.min(start, end), Math.max(start, end)]);
    });
    box.root.append(area);
  });
  return lines.filter(isKept).map(line => line.id);
}
