"use strict";
// The page asks for news and draws what it is told; all that counts is on the server.
const $ = id => document.getElementById(id);
const view = $("view");
let state = null;            // what the server said last
let target = null;           // what an answer is for: {pixel} or {polygon}; null: the question
let scale = 1, left = 0, top_ = 0, whole = true;  // of the view: screen pixels a pixel, its corner, and whether it shows all
let drawing = null;          // corners of an area that is being drawn
const pictures = {};         // kind -> {url, image}
let detail = null;           // the part that is seen, of each of its pixels: {url, image, block}
let spectrum = null;

function say(text, bad) {
  $("status").textContent = text;
  $("status").className = bad ? "bad" : "";
}

async function send(what) {
  const seen = state.seq;
  try {
    const response = await fetch("do", {
      method: "POST", headers: {"content-type": "application/json"}, body: JSON.stringify({...what, seen}),
    });
    if (!response.ok) say(await response.text(), true);
    return response.ok;
  } catch {
    say("The server does not answer. What was taken before is kept.", true);
    return false;
  }
}

async function follow() {
  for (;;) {
    try {
      const known = state ? "?version=" + encodeURIComponent(JSON.stringify(state.version)) : "";
      const response = await fetch("state" + known);
      if (!response.ok) throw new Error(await response.text());
      take(await response.json());
    } catch (error) {
      say("The server does not answer. What was taken before is kept.", true);
      await new Promise(done => setTimeout(done, 1000));
      state = state && {...state, version: null};
    }
  }
}

function take(next) {
  const before = state;
  state = next;
  if (!state.ready) {
    $("stage").textContent = state.error ? "This failed: " + state.error : "Preparing: " + state.stage;
    $("share").value = state.share;
    say(state.error ? "The session could not be opened." : "");
    return;
  }
  $("loading").hidden = true;
  $("main").hidden = false;
  if (!before || !before.ready) begin();
  if (!before || before.seq !== state.seq || before.busy !== state.busy) say(state.busy ? "Learning …" : "Ready.");
  const colors = JSON.stringify(state.classes.map(known => known.color));
  loadPicture("classes", `picture/classes.png?v=${state.map}&c=${encodeURIComponent(colors)}`);
  loadPicture("uncertainty", `picture/uncertainty.png?v=${state.map}`);
  showQuestion();
  showLegend();
  showProgress();
  showHistory();
  renew($("files"), state.exported, () => state.exported.map(name => {
    const item = document.createElement("li");
    item.append(Object.assign(document.createElement("a"), {href: "exported/" + name, textContent: name}));
    return item;
  }));
  paint();
}

function begin() {
  ["red", "green", "blue"].forEach((id, i) => {
    $(id).replaceChildren(...state.bands.map((name, band) => new Option(name, band)));
    $(id).value = state.shown[i];
  });
  new ResizeObserver(() => { fit(); paint(); }).observe(view);
  loadScene();
  fit();
}

function loadPicture(kind, url) {
  if (pictures[kind] && pictures[kind].asked === url) return;
  const image = new Image(), version = state.map;
  pictures[kind] = {...pictures[kind], asked: url};
  image.onload = () => {
    if (pictures[kind].asked !== url) return;  // a later one is on its way
    pictures[kind] = {asked: url, image};
    paint();
    if (kind === "classes") {
      document.body.dataset.map = version;  // for those who measure
      window.painted = performance.now();
    }
  };
  image.src = url;
}

const bandsAndCut = () => `bands=${$("red").value},${$("green").value},${$("blue").value}&cut=${$("cut").value}`;

function loadScene() {
  detail = null;
  loadPicture("scene", "picture/scene.png?" + bandsAndCut());
}

function seenBlock() {
  const [height, width] = state.shape;
  return [Math.max(0, Math.floor(top_)), Math.min(height, Math.ceil(top_ + view.clientHeight / scale)),
          Math.max(0, Math.floor(left)), Math.min(width, Math.ceil(left + view.clientWidth / scale))];
}

let waiting = null;
function loadDetail() {  // of large scenes, whose picture leaves pixels out
  clearTimeout(waiting);
  if (state.step === 1) return;
  waiting = setTimeout(() => {
    const [top, bottom, start, end] = seenBlock();
    if (bottom <= top || end <= start || (bottom - top) * (end - start) > 1e6) return;
    const url = `picture/scene.png?${bandsAndCut()}&block=${top},${bottom},${start},${end}`;
    const image = new Image();
    image.onload = () => { detail = {image, block: [top, bottom, start, end]}; paint(); };
    image.src = url;
  }, 150);
}

function fit() {
  if (!state || !state.ready || !view.clientWidth) return;
  const ratio = window.devicePixelRatio || 1;
  view.width = view.clientWidth * ratio;
  view.height = view.clientHeight * ratio;
  if (whole) showWhole();
}

function showWhole() {
  const [height, width] = state.shape;
  scale = Math.min(view.clientWidth / width, view.clientHeight / height);
  left = (width - view.clientWidth / scale) / 2;
  top_ = (height - view.clientHeight / scale) / 2;
  moved();
  whole = true;
}

function moved() { whole = false; paint(); loadDetail(); }

function zoom(factor, x = view.clientWidth / 2, y = view.clientHeight / 2) {
  const next = Math.min(64, Math.max(0.02, scale * factor));
  left += x / scale - x / next;
  top_ += y / scale - y / next;
  scale = next;
  moved();
}

function pixelOf(target_) {
  if (target_ && target_.pixel !== undefined) return target_.pixel;
  return state.query ? state.query.pixel : null;
}

const rowAndColumn = pixel => [Math.floor(pixel / state.shape[1]), pixel % state.shape[1]];

function goTo(pixel) {
  if (pixel === null) return;
  const [row, column] = rowAndColumn(pixel);
  scale = Math.max(scale, 6);
  left = column + 0.5 - view.clientWidth / scale / 2;
  top_ = row + 0.5 - view.clientHeight / scale / 2;
  moved();
}

const overlay = () => document.querySelector("[name=overlay]:checked").value;

function drawLayers(context, width, height, scale_, left_, top, alpha) {
  context.imageSmoothingEnabled = false;
  context.clearRect(0, 0, width, height);
  const [rows, columns] = state.shape;
  const put = (image, step) => context.drawImage(
    image, -left_ * scale_, -top * scale_, image.width * step * scale_, image.height * step * scale_);
  context.save();
  context.beginPath();
  context.rect(-left_ * scale_, -top * scale_, columns * scale_, rows * scale_);
  context.clip();
  if (pictures.scene && pictures.scene.image) put(pictures.scene.image, state.step);
  if (detail) {
    const [a, b, c, d] = detail.block;
    context.drawImage(detail.image, (c - left_) * scale_, (a - top) * scale_, (d - c) * scale_, (b - a) * scale_);
  }
  const over = pictures[overlay()];
  if (over && over.image) {
    context.globalAlpha = alpha;
    put(over.image, state.step);
  }
  context.restore();
}

function paint() {
  if (!state || !state.ready) return;
  const context = view.getContext("2d"), ratio = window.devicePixelRatio || 1;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  drawLayers(context, view.clientWidth, view.clientHeight, scale, left, top_, Number($("opacity").value));
  const mark = (pixel, color, size) => {
    const [row, column] = rowAndColumn(pixel);
    const x = (column + 0.5 - left) * scale, y = (row + 0.5 - top_) * scale, r = Math.max(scale / 2 + 2, size);
    context.lineWidth = 4; context.strokeStyle = "#000"; context.strokeRect(x - r, y - r, 2 * r, 2 * r);
    context.lineWidth = 2; context.strokeStyle = color; context.strokeRect(x - r, y - r, 2 * r, 2 * r);
  };
  for (const action of state.history) {
    if (action.class === null || action.pixels.length > 1) continue;
    mark(action.pixels[0], state.classes[action.class].color, 3);
  }
  if (state.query) mark(state.query.pixel, "#fff", 8);
  if (target && target.pixel !== undefined) mark(target.pixel, "#ff0", 8);
  const corners = drawing || (target && target.polygon);
  if (corners && corners.length > 1) {
    context.beginPath();
    corners.forEach(([x, y]) => context.lineTo((x - left) * scale, (y - top_) * scale));
    context.closePath();
    context.lineWidth = 4; context.strokeStyle = "#000"; context.stroke();
    context.lineWidth = 2; context.strokeStyle = "#ff0"; context.stroke();
  }
  paintInset();
}

function paintInset() {
  const pixel = pixelOf(target), context = $("inset").getContext("2d");
  context.clearRect(0, 0, 150, 150);
  if (pixel === null) return;
  const [row, column] = rowAndColumn(pixel);
  drawLayers(context, 150, 150, 10, column - 7, row - 7, 0);
  context.lineWidth = 4; context.strokeStyle = "#000"; context.strokeRect(69, 69, 12, 12);
  context.lineWidth = 2; context.strokeStyle = "#fff"; context.strokeRect(69, 69, 12, 12);
}

function showQuestion() {
  const why = {exploring: "Exploring: nothing like it has a label yet.", refining: "Refining: it lies between classes."};
  const query = state.query;
  if (target && target.polygon) {
    $("asked").textContent = "What is this area?";
    $("why").textContent = "All pixels in it are labelled alike.";
  } else if (target) {
    const [row, column] = rowAndColumn(target.pixel);
    $("asked").textContent = "What is the pixel that you picked?";
    $("why").textContent = `Row ${row}, column ${column}.`;
  } else if (query) {
    $("asked").textContent = "What is this?";
    $("why").textContent = `Row ${query.row}, column ${query.column}. ${why[query.why]}` +
      (query.score === null ? "" : ` Score ${query.score.toPrecision(2)}.`);
  } else {
    $("asked").textContent = state.busy ? "Looking for the next question …" : "Nothing is left to ask.";
    $("why").textContent = "";
  }
  $("back").hidden = !target;
  $("skip").disabled = pixelOf(target) === null;
  $("undo").disabled = !state.history.length;
  view.setAttribute("aria-label", `The scene, ${state.shape[0]} rows and ${state.shape[1]} columns. ` + $("why").textContent);
  renew($("answers"), state.classes, () => state.classes.map((known, place) => {
    const button = document.createElement("button"), swatch = document.createElement("span");
    swatch.className = "swatch";
    swatch.style.background = known.color;
    button.type = "button";
    button.append(swatch, known.name);
    if (place < 9) button.append(Object.assign(document.createElement("kbd"), {textContent: place + 1}));
    button.onclick = () => answer(place);
    return button;
  }));
  showSpectrum();
}

function renew(parent, shown, make) {  // only what differs: a click is not to meet a button that is made anew
  const key = JSON.stringify(shown);
  if (parent.shown === key) return;
  parent.shown = key;
  const place = [...parent.children].findIndex(child => child.contains(document.activeElement));
  const children = make();
  parent.replaceChildren(...children);
  if (place >= 0 && children[place]) (children[place].querySelector("select, input:not([type=color])") || children[place]).focus();
}

async function showSpectrum() {
  const pixel = pixelOf(target);
  const key = JSON.stringify([pixel, state.seq]);
  if (pixel === null || (spectrum && spectrum.key === key)) return drawSpectrum();
  spectrum = {...spectrum, key};
  const response = await fetch("spectrum/" + pixel);
  if (!response.ok) return;
  const given = await response.json();
  if (spectrum.key !== key) return;
  spectrum = {key, ...given};
  drawSpectrum();
}

function drawSpectrum() {
  const context = $("spectrum").getContext("2d"), {width, height} = $("spectrum");
  context.clearRect(0, 0, width, height);
  if (!spectrum || !spectrum.values || pixelOf(target) === null) return;
  const curves = spectrum.means.map((values, place) => ({values, color: (state.classes[place] || {}).color, line: 1.5}));
  curves.push({values: spectrum.values, color: getComputedStyle(document.body).color, line: 2.5});
  const all = curves.flatMap(curve => curve.values || []).filter(value => value !== null);
  const low = Math.min(...all), high = Math.max(...all);
  for (const {values, color, line} of curves) {
    if (!values) continue;
    context.beginPath();
    values.forEach((value, i) => {
      if (value === null) return;
      context.lineTo(4 + i / Math.max(1, values.length - 1) * (width - 8), height - 4 - (value - low) / (high - low || 1) * (height - 8));
    });
    context.strokeStyle = color;
    context.lineWidth = line;
    context.stroke();
  }
}

function showLegend() {
  renew($("legend"), state.classes, () => state.classes.map((known, place) => {
    const item = document.createElement("li");
    const color = Object.assign(document.createElement("input"), {type: "color", value: known.color});
    const name = Object.assign(document.createElement("input"), {value: known.name, maxLength: 60});
    const count = document.createElement("output");
    color.setAttribute("aria-label", "Colour of " + known.name);
    name.setAttribute("aria-label", "Name of class " + (place + 1));
    color.onchange = () => send({do: "color", class: place, color: color.value});
    name.onchange = async () => {
      const taken = name.value.trim() && await send({do: "rename", class: place, name: name.value});
      if (!taken) name.value = known.name;
    };
    count.setAttribute("aria-label", "Labels of " + known.name);
    item.append(color, name, count);
    return item;
  }));
  [...$("legend").children].forEach((item, place) => { item.lastChild.value = state.progress.counts[place]; });
}

function showProgress() {
  const {n_labels, n_skipped, accuracy, accuracy_interval, n_judged, changed, hint} = state.progress;
  const percent = value => Math.round(100 * value) + "%";
  $("counts").textContent = `${n_labels} labels, ${n_skipped} skipped. ` + (accuracy === null ? "" :
    `Of the last ${n_judged} questions, which go where it knows least, the map had ${percent(accuracy)} right ` +
    `(${percent(accuracy_interval[0])} to ${percent(accuracy_interval[1])}).`);
  $("hint").textContent = hint;
  const shares = changed.filter(share => share !== null && share !== undefined);
  const context = $("curve").getContext("2d"), {width, height} = $("curve");
  context.clearRect(0, 0, width, height);
  context.beginPath();
  shares.forEach((share, i) => context.lineTo(4 + i / Math.max(1, shares.length - 1) * (width - 8), height - 4 - share * (height - 8)));
  context.strokeStyle = getComputedStyle(document.body).color;
  context.lineWidth = 2;
  context.stroke();
  $("curve").setAttribute("aria-label", "Share of the map that each answer changed" +
    (shares.length ? `; the last one ${percent(shares[shares.length - 1])}` : ""));
}

function showHistory() {
  const actions = state.history.map(({pixels, class: label, seq}) => [pixels[0], pixels.length, label, seq]);
  renew($("history"), [actions, state.classes], () => [...state.history].reverse().map(action => {
    const item = document.createElement("li"), text = document.createElement("span");
    const [row, column] = rowAndColumn(action.pixels[0]);
    text.textContent = action.pixels.length > 1 ? `area of ${action.pixels.length} pixels` : `row ${row}, column ${column}`;
    item.append(text);
    if (action.pixels.length > 1) {
      item.append(state.classes[action.class].name);
      return item;
    }
    const choice = document.createElement("select");
    choice.setAttribute("aria-label", "Class of " + text.textContent);
    choice.append(...state.classes.map((known, place) => new Option(known.name, place)), new Option("can’t tell", ""));
    choice.value = action.class === null ? "" : action.class;
    choice.onchange = () => choice.value === ""
      ? send({do: "skip", pixel: action.pixels[0]})
      : send({do: "answer", pixel: action.pixels[0], class: Number(choice.value)});
    item.append(choice);
    return item;
  }));
}

async function answer(place) {
  const polygon = target && target.polygon, pixel = pixelOf(target);
  if (!polygon && pixel === null) return say("Wait for the next question, or pick a pixel.", true);
  const taken = await send(polygon ? {do: "add", class: place, polygon} : {do: "answer", pixel, class: place});
  if (taken) target = null;
}

async function skip() {
  const pixel = pixelOf(target);
  if (pixel !== null && await send({do: "skip", pixel})) target = null;
}

function pick(next) {
  target = next;
  showQuestion();
  paint();
}

const place = event => {
  const box = view.getBoundingClientRect();
  return [event.clientX - box.left - view.clientLeft, event.clientY - box.top - view.clientTop];
};
let pressed = null;
view.onpointerdown = event => {
  const [x, y] = place(event);
  view.setPointerCapture(event.pointerId);
  pressed = {x, y, left, top: top_, moved: false};
  if (event.shiftKey || $("draw").getAttribute("aria-pressed") === "true") drawing = [];
};
view.onpointermove = event => {
  if (!pressed) return;
  const [x, y] = place(event);
  pressed.moved = pressed.moved || Math.hypot(x - pressed.x, y - pressed.y) > 4;
  if (!pressed.moved) return;
  if (drawing) {
    drawing.push([left + x / scale, top_ + y / scale]);
    paint();
  } else {
    left = pressed.left - (x - pressed.x) / scale;
    top_ = pressed.top - (y - pressed.y) / scale;
    moved();
  }
};
view.onpointerup = event => {
  const [x, y] = place(event), was = pressed, corners = drawing;
  pressed = drawing = null;
  if (!was) return;
  if (corners && corners.length > 2) {
    $("draw").setAttribute("aria-pressed", "false");
    return pick({polygon: corners.slice(0, 10000)});
  }
  if (was.moved) return;
  const row = Math.floor(top_ + y / scale), column = Math.floor(left + x / scale);
  const [height, width] = state.shape;
  if (row >= 0 && row < height && column >= 0 && column < width) pick({pixel: row * width + column});
};
view.onpointercancel = () => { pressed = drawing = null; };
view.addEventListener("wheel", event => {
  event.preventDefault();
  zoom(event.deltaY < 0 ? 1.25 : 0.8, ...place(event));
}, {passive: false});

$("closer").onclick = () => zoom(1.5);
$("farther").onclick = () => zoom(1 / 1.5);
$("whole").onclick = showWhole;
$("find").onclick = () => { pick(null); goTo(pixelOf(null)); };
$("draw").onclick = () => $("draw").setAttribute("aria-pressed", $("draw").getAttribute("aria-pressed") !== "true");
$("skip").onclick = skip;
$("undo").onclick = () => send({do: "undo"});
$("back").onclick = () => pick(null);
$("export").onclick = async () => {
  say("Writing …");
  if (await send({do: "export"})) { say("Written to the folder of the session."); state.version = null; }
};
$("add").onsubmit = async event => {
  event.preventDefault();
  if (await send({do: "class", name: $("name").value})) $("name").value = "";
};
["red", "green", "blue", "cut"].forEach(id => { $(id).onchange = () => { loadScene(); loadDetail(); }; });
document.querySelectorAll("[name=overlay]").forEach(choice => { choice.onchange = paint; });
$("opacity").oninput = paint;

document.addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey || !state || !state.ready) return;
  if (event.target.matches("select, input:not([type=radio]):not([type=range])")) return;
  const pan = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}[event.key];
  if (/^[1-9]$/.test(event.key)) {
    if (Number(event.key) <= state.classes.length) answer(Number(event.key) - 1);
  } else if (event.key === "s") skip();
  else if (event.key === "u") send({do: "undo"});
  else if (event.key === "c") { pick(null); goTo(pixelOf(null)); }
  else if (event.key === "+") zoom(1.5);
  else if (event.key === "-") zoom(1 / 1.5);
  else if (event.key === "Escape") pick(null);
  else if (pan && event.target === view) {
    left += pan[0] * view.clientWidth / scale / 8;
    top_ += pan[1] * view.clientHeight / scale / 8;
    event.preventDefault();
    moved();
  }
});

matchMedia("(prefers-color-scheme: dark)").onchange = () => { showProgress(); drawSpectrum(); };

follow();
