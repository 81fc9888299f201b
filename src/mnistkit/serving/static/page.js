"use strict";

// The ground is the one that the model was trained on: light ink on a dark ground, or the other way round.
const SIZE = 280, PEN = 20, STEP = 10, PAUSE_MS = 60;
const byId = id => document.getElementById(id);
const canvas = byId("canvas"), context = canvas.getContext("2d");

let ground = "#000", ink = "#fff", picture = null, token = "";
let strokes = [], current = null, cursor = null, penIsDown = false;
let timer = 0, isSending = false, isStale = false;

function paint(target, showsCursor) {
  target.fillStyle = ground;
  target.fillRect(0, 0, SIZE, SIZE);
  if (picture) {
    const scale = Math.min(SIZE / picture.width, SIZE / picture.height);
    const width = picture.width * scale, height = picture.height * scale;
    target.drawImage(picture, (SIZE - width) / 2, (SIZE - height) / 2, width, height);
  }
  target.strokeStyle = target.fillStyle = ink;
  target.lineWidth = PEN;
  target.lineCap = target.lineJoin = "round";
  for (const points of strokes) {
    target.beginPath();
    target.moveTo(...points[0]);
    for (const point of points) target.lineTo(...point);
    target.stroke();
  }
  if (showsCursor && cursor) {
    target.beginPath();
    target.lineWidth = 3;
    target.strokeStyle = penIsDown ? "#d55e00" : "#56b4e9";
    target.arc(...cursor, PEN / 2 + 2, 0, 7);
    target.stroke();
  }
}

function changed() {
  paint(context, true);
  if (!strokes.length && !picture) return reset();
  isStale = true;
  clearTimeout(timer);
  timer = setTimeout(send, PAUSE_MS);
}

function reset() {
  isStale = false;
  clearTimeout(timer);
  showNothing("Nothing drawn yet.");
}

function showNothing(reason) {
  byId("label").textContent = "–";
  byId("confidence").textContent = reason;
  byId("seen-part").hidden = true;
  for (const row of byId("bars").children) setBar(row, 0, false);
}

async function call(path, options = {}) {
  const headers = { ...options.headers, ...(token && { Authorization: `Bearer ${token}` }) };
  const response = await fetch(path, { ...options, headers });
  const body = await response.json();
  byId("access").hidden = response.status !== 401;
  if (!response.ok) throw Object.assign(new Error(body.error || response.statusText), { status: response.status });
  return { body, version: response.headers.get("X-Model-Version") };
}

function report(error) {
  byId("problem").textContent = error ? error.message : "";
  byId("problem").hidden = !error;
}

// One request at a time; what changed meanwhile is sent next.
async function send() {
  if (isSending || !isStale) return;
  isSending = true;
  isStale = false;
  try {
    const copy = picture && !strokes.length ? picture.file : await drawing();
    const answer = await call("/predict?seen=1", { method: "POST", body: copy, headers: { "Content-Type": copy.type } });
    if (strokes.length || picture) show(answer.body);
    if (answer.version !== canvas.dataset.version) await readModel();
    report(null);
  } catch (error) {
    // Half a digit may look like none, or like two: that is no problem to report.
    if (error.status === 422) showNothing(error.message);
    report(error.status === 422 ? null : error);
    isStale = isStale || error.status === 503;
  } finally {
    isSending = false;
    if (isStale) timer = setTimeout(send, PAUSE_MS);
  }
}

function drawing() {
  const copy = document.createElement("canvas");
  copy.width = copy.height = SIZE;
  paint(copy.getContext("2d"), false);
  return new Promise(resolve => copy.toBlob(resolve, "image/png"));
}

function show(answer) {
  const best = answer.probabilities ? Math.max(...answer.probabilities) : null;
  byId("label").textContent = answer.name;
  byId("confidence").textContent = best === null ? "" : `with probability ${percent(best)}`;
  const rows = byId("bars").children;
  answer.classes.forEach((name, index) => {
    if (answer.probabilities && rows[index]) setBar(rows[index], answer.probabilities[index], name === answer.name);
  });
  byId("seen").src = `data:image/png;base64,${answer.seen}`;
  byId("seen-part").hidden = false;
}

const percent = value => `${(100 * value).toFixed(1)} %`;

function setBar(row, value, isBest) {
  row.classList.toggle("best", isBest);
  row.querySelector("meter").value = value;
  row.querySelector(".value").textContent = percent(value);
}

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

async function readModel() {
  const { body: model } = await call("/version");
  canvas.dataset.version = String(model.version);
  [ground, ink] = model.light_ground ? ["#fff", "#000"] : ["#000", "#fff"];
  byId("served").textContent = `${model.model}, version ${model.version}`;
  byId("bars").replaceChildren(...model.classes.map(name => {
    const row = element("li"), meter = element("meter");
    meter.setAttribute("aria-label", `Probability of ${name}`);
    row.append(element("span", name, "name"), meter, element("span", percent(0), "value"));
    return row;
  }));
  const size = model.image ? `${model.image.height} × ${model.image.width} pixels` : `rows of ${model.features} numbers`;
  const facts = {
    Reference: model.reference, Version: model.version, Description: model.description,
    Registered: new Date(model.registered).toLocaleString(), "Trained on": model.dataset, Input: size,
    ...Object.fromEntries(Object.entries(model.metrics).map(([name, value]) => [name, Number(value.toPrecision(5))])),
    "scikit-learn": model.libraries["scikit-learn"], Digest: model.digest,
  };
  byId("card").replaceChildren(...Object.entries(facts).filter(([, value]) => value !== "").map(([name, value]) => {
    const row = element("div");
    row.append(element("dt", name), element("dd", value));
    return row;
  }));
  report(null);
  changed();
}

function place(event) {
  const box = canvas.getBoundingClientRect();
  return [(event.clientX - box.left) * SIZE / box.width, (event.clientY - box.top) * SIZE / box.height];
}

canvas.addEventListener("pointerdown", event => {
  if (event.button !== 0) return;
  canvas.setPointerCapture(event.pointerId);
  cursor = null;
  penIsDown = false;
  strokes.push(current = [place(event)]);
  changed();
});
canvas.addEventListener("pointermove", event => {
  if (!current) return;
  for (const each of event.getCoalescedEvents?.() ?? []) current.push(place(each));
  current.push(place(event));
  changed();
});
for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => { current = null; });

const MOVES = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] };
canvas.addEventListener("keydown", event => {
  const move = MOVES[event.key];
  if (event.ctrlKey || event.metaKey || event.altKey || !(move || event.key === " " || event.key === "Backspace")) return;
  event.preventDefault();
  cursor ??= [SIZE / 2, SIZE / 2];
  if (event.key === "Backspace") return undo();
  if (move) {
    cursor = cursor.map((value, axis) => Math.min(SIZE - PEN / 2, Math.max(PEN / 2, value + move[axis])));
    if (penIsDown) strokes.at(-1).push(cursor);
  } else {
    penIsDown = !penIsDown;
    if (penIsDown) strokes.push([cursor]);
  }
  changed();
});
canvas.addEventListener("blur", () => { cursor = null; penIsDown = false; paint(context, true); });

function undo() {
  penIsDown = false;
  if (strokes.pop() === undefined) picture = null;
  changed();
}
byId("undo").addEventListener("click", undo);
byId("clear").addEventListener("click", () => {
  strokes = [];
  picture = null;
  report(null);
  changed();
});
byId("upload").addEventListener("change", async event => {
  const [file] = event.target.files;
  if (!file) return;
  try {
    picture = Object.assign(await createImageBitmap(file), { file });
    strokes = [];
    changed();
  } catch {
    report(new Error(`${file.name} is no image that can be read.`));
  }
  event.target.value = "";
});
byId("access").addEventListener("submit", event => {
  event.preventDefault();
  token = byId("token").value.trim();
  readModel().catch(report);
});

paint(context, false);
readModel().catch(report);
