// "Draw a digit" (quick start): the trained network runs in the page.
import style from "../demo.css";
import data from "../data/digit.json";
import sheet from "../data/threes.png";
import model from "../data/threes.safetensors";
import * as dom from "../lib/dom.mjs";
import { compose, decades, path, picture, scale } from "../lib/plot.mjs";
import { oneOf, settings, within } from "../lib/settings.mjs";
import * as network from "./network.mjs";
import * as strokes from "./strokes.mjs";

const { html, svg } = dom;
const { SIDE, PATCHES } = network;
const { GRID, PRESETS } = strokes;
const detector = network.detector(model);
const { threshold } = detector;
const [LOW_PEN, HIGH_PEN] = [1, 5];
const SHOWN = 6; // nearest threes
const BUDGET = 8; // ms of a frame for what is computed on the side
const NAMES = { three: "a three", mirrored: "a mirrored three", hole: "a three with a hole", fish: "a fish" };

const usual = { drawing: PRESETS.three, pen: 2.8, fit: "yes" };
const { values, keep } = settings("digit", usual, {
  parse: { drawing: strokes.parse, pen: within(LOW_PEN, HIGH_PEN), fit: oneOf(["yes", "no"]) },
  format: { drawing: strokes.write },
});
const copy = (drawing) => drawing.map((stroke) => stroke.map((point) => [...point]));
values.drawing = copy(values.drawing);

const { box, stage } = dom.place("digit", style);
const short = (value) => Number(value.toPrecision(3)).toString();
const percent = (share) => `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)} %`;

// --- the canvas ---------------------------------------------------------------------

const help = html(
  "p",
  { class: "demo-help", id: dom.freshId() },
  "Draw with mouse, pen or finger. Keys: arrows move the pen, with Shift a little; Space " +
    "puts it on the paper, or lifts it; Backspace takes the last stroke away.",
);
const canvas = html("canvas", {
  class: "demo-canvas",
  width: 280,
  height: 280,
  tabindex: 0,
  role: "application",
  "aria-label": "Drawing area",
  "aria-describedby": help.id,
});
const pencil = { at: [GRID / 2, 100].map(Math.round), down: false, shown: false };

function place(event) {
  const { left, top, width, height } = canvas.getBoundingClientRect();
  const inside = (v) => Math.min(Math.max(Math.round(v * GRID), 0), GRID);
  return [inside((event.clientX - left) / width), inside((event.clientY - top) / height)];
}

/** Add a point to the last stroke, unless it is where the stroke already is. */
function extend(point) {
  const stroke = values.drawing.at(-1);
  if (!stroke) return; // the sheet was cleared meanwhile
  const [x, y] = stroke.at(-1) ?? [Infinity, Infinity];
  if (Math.hypot(point[0] - x, point[1] - y) < 12 || !strokes.hasRoom(values.drawing)) return;
  stroke.push(point);
  change({});
}

canvas.addEventListener("pointerdown", (event) => {
  canvas.setPointerCapture(event.pointerId);
  pencil.shown = false;
  values.drawing.push([]);
  extend(place(event));
});
canvas.addEventListener("pointermove", (event) => {
  if (canvas.hasPointerCapture(event.pointerId)) extend(place(event));
});
canvas.addEventListener("keydown", (event) => {
  const step = event.shiftKey ? 12 : 36;
  const moves = {
    ArrowLeft: [-step, 0],
    ArrowRight: [step, 0],
    ArrowUp: [0, -step],
    ArrowDown: [0, step],
  };
  if (event.key in moves) {
    pencil.at = pencil.at.map((v, k) => Math.min(Math.max(v + moves[event.key][k], 0), GRID));
    if (pencil.down) extend([...pencil.at]);
  } else if (event.key === " ") {
    pencil.down = !pencil.down;
    if (pencil.down) {
      values.drawing.push([]);
      extend([...pencil.at]);
    }
    say(pencil.down ? "The pen is on the paper." : "The pen is lifted.");
  } else if (event.key === "Backspace") undo();
  else return;
  pencil.shown = true;
  event.preventDefault();
  paper();
});
canvas.addEventListener("blur", () => {
  pencil.shown = pencil.down = false;
  paper();
});

function undo() {
  pencil.down = false;
  change({ drawing: values.drawing.filter((s) => s.length).slice(0, -1) });
}

function paper() {
  const pen = canvas.getContext("2d");
  const unit = canvas.width / (GRID + 1);
  pen.fillStyle = "black";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.strokeStyle = pen.fillStyle = "white";
  pen.lineCap = pen.lineJoin = "round";
  pen.lineWidth = (values.pen * canvas.width) / SIDE;
  for (const points of values.drawing) {
    pen.beginPath();
    points.forEach(([x, y]) => pen.lineTo(x * unit, y * unit));
    if (points.length === 1) pen.lineTo(points[0][0] * unit, points[0][1] * unit);
    pen.stroke();
  }
  if (pencil.shown) {
    const [x, y] = pencil.at;
    pen.strokeStyle = "#e69f00";
    pen.lineWidth = 3;
    pen.beginPath();
    pen.arc(x * unit, y * unit, pencil.down ? 4 : 9, 0, 2 * Math.PI);
    pen.stroke();
  }
}

// --- controls -----------------------------------------------------------------------

const pen = dom.slider({
  label: "Pen",
  value: values.pen,
  steps: 40,
  ...dom.linear(LOW_PEN, HIGH_PEN),
  say: (v) => `${v.toFixed(1)} pixels`,
  changed: (v) => change({ pen: Math.round(10 * v) / 10 }),
});
const fitted = html("input", {
  type: "checkbox",
  id: dom.freshId(),
  change: () => change({ fit: fitted.checked ? "yes" : "no" }),
});
fitted.checked = values.fit === "yes";
const fitBox = html(
  "div",
  { class: "demo-check" },
  fitted,
  html("label", { for: fitted.id }, "Size and place as in MNIST"),
);
const presets = html(
  "div",
  { class: "demo-buttons", role: "group", "aria-label": "Drawings" },
  ...Object.entries(NAMES).map(([key, name]) =>
    dom.button(name, () => change({ drawing: copy(PRESETS[key]) })),
  ),
  dom.button("Undo", undo),
  dom.button("Clear", () => change({ drawing: [] })),
);

// --- what the network makes of it ---------------------------------------------------

const seen = html("canvas", { class: "demo-seen", width: SIDE, height: SIDE, role: "img" });
const strip = picture("Scores of 1,010 new threes, the threshold, and the score of the drawing.");
const stripBox = html("div", { class: "demo-wide" }, strip);
const facts = dom.factList();
const spoken = dom.speaker();
const say = (text) => spoken.say(text);
const nearest = html("div", {
  class: "demo-tiles",
  role: "img",
  "aria-label": "Training threes, when the drawing is still",
});

const bins = 40;
const low = data.normal[0] * 0.8;
const high = 40 * threshold;
const counts = new Array(bins).fill(0);
for (const score of data.normal) {
  const k = Math.floor((bins * Math.log(score / low)) / Math.log(high / low));
  counts[Math.min(Math.max(k, 0), bins - 1)] += 1;
}

let width = 0;
function drawStrip(score) {
  const [left, right, top, bottom] = [4, width - 4, 24, 88];
  const x = scale([low, high], [left, right], true);
  const most = Math.max(...counts);
  const bars = counts.map((n, k) => {
    const [a, b] = [k, k + 1].map((e) => x(low * (high / low) ** (e / bins)).toFixed(1));
    return `M${a} ${bottom}V${(bottom - (n / most) * (bottom - top)).toFixed(1)}H${b}V${bottom}Z`;
  });
  const parts = [
    svg("path", { class: "normal passed", d: bars.join("") }),
    svg("path", { class: "axis", d: `M${left} ${bottom}H${right}` }),
    svg("path", { class: "chance", d: path([x(threshold), x(threshold)], [top - 6, bottom]) }),
    svg("text", { x: x(threshold), y: 12, "text-anchor": "middle" }, "threshold"),
  ];
  for (const tick of decades(low, high)) {
    parts.push(svg("text", { x: x(tick), y: bottom + 14, "text-anchor": "middle" }, short(tick)));
  }
  if (score !== null) {
    const at = x(Math.min(Math.max(score, low), high));
    parts.push(
      svg("path", { class: "threshold", d: `M${at} ${top + 4}V${bottom}` }),
      svg("circle", { class: "handle", cx: at, cy: top + 4, r: 6 }),
    );
  }
  compose(strip, width, bottom + 18, parts);
}

/** What is left to do for a drawing once it is still: a generator, some ms a frame. */
let task = null;
let timer;
function later(steps, done) {
  clearTimeout(timer);
  task = null;
  timer = setTimeout(() => {
    const mine = (task = steps());
    const work = () => {
      if (task !== mine) return;
      const end = performance.now() + BUDGET;
      while (performance.now() < end) {
        if (mine.next().done) {
          task = null;
          done();
          return;
        }
      }
      requestAnimationFrame(work);
    };
    work();
  }, 150);
}

let map = null;
function drawSeen(image) {
  const paint = seen.getContext("2d");
  const pixels = paint.createImageData(SIDE, SIDE);
  const [odd, usualInk] = ["--anomaly", "--normal"].map(colorOf);
  const most = map ? Math.max(...map.map(Math.abs), 1e-9) : 1;
  for (let k = 0; k < SIDE * SIDE; k++) {
    const gray = image[k];
    const cell = Math.floor(k / SIDE / network.STEP) * PATCHES + Math.floor((k % SIDE) / network.STEP);
    const fall = map ? map[cell] / most : 0;
    const share = 0.85 * Math.abs(fall);
    const tint = fall > 0 ? odd : usualInk;
    for (let c = 0; c < 3; c++) {
      pixels.data[4 * k + c] = (1 - share) * gray + share * tint[c];
    }
    pixels.data[4 * k + 3] = 255;
  }
  paint.putImageData(pixels, 0, 0);
}

function colorOf(name) {
  const text = getComputedStyle(box).getPropertyValue(name).trim();
  return [1, 3, 5].map((k) => Number.parseInt(text.slice(k, k + 2), 16));
}

/** Where the map is highest, in words. */
function oddest() {
  const most = Math.max(...map);
  if (most < 0.05 * result.score) return null;
  const k = map.indexOf(most);
  const third = (v) => Math.floor((3 * v) / PATCHES);
  const row = ["at the top", "in the middle", "at the bottom"][third(Math.floor(k / PATCHES))];
  const column = [" left", "", " right"][third(k % PATCHES)];
  return row + column;
}

// The threes are decoded when the first drawing is still.
const threes = [];
const loaded = new Promise((resolve) => {
  const whole = new Image();
  whole.addEventListener("load", () => resolve(whole));
  whole.src = sheet;
});

function* prepareThrees(whole) {
  const canvas = html("canvas", { width: whole.width, height: whole.height });
  const paint = canvas.getContext("2d", { willReadFrequently: true });
  paint.drawImage(whole, 0, 0);
  while (threes.length < data.chosen.length) {
    const k = threes.length;
    const place = [SIDE * (k % data.columns), SIDE * Math.floor(k / data.columns), SIDE, SIDE];
    const pixels = paint.getImageData(...place);
    const gray = Float64Array.from({ length: SIDE * SIDE }, (_, i) => pixels.data[4 * i]);
    threes.push({ pixels, z: detector.represent(gray) });
    yield;
  }
}

function showNearest() {
  const z = detector.represent(result.image);
  const order = threes
    .map((three) => [network.distance(three.z, z), three])
    .sort(([a], [b]) => a - b)
    .slice(0, SHOWN);
  nearest.replaceChildren(
    ...order.map(([, { pixels }]) => {
      const tile = html("canvas", { width: SIDE, height: SIDE });
      tile.getContext("2d").putImageData(pixels, 0, 0);
      return tile;
    }),
  );
  const apart = order.map(([d]) => short(d)).join(", ");
  nearest.setAttribute("aria-label", `Six training threes; squared distances ${apart}`);
}

// --- together -----------------------------------------------------------------------

let result = null;

function tell() {
  const { score, empty } = result;
  const p = network.pValue(data.normal, score);
  const verdict = score > threshold ? "flagged" : "normal";
  const where = map && !empty ? oddest() : null;
  const lines = empty
    ? [["Score", "nothing is drawn"]]
    : [
        ["Score", score.toPrecision(4)],
        ["Threshold", short(threshold)],
        ["Verdict", verdict],
        ["p-value", short(p)],
        ["Odd", map ? (where ?? "no single place") : "…"],
      ];
  facts.show(lines);
  box.dataset.score = empty ? "" : score;
  say(
    empty
      ? "Nothing is drawn."
      : `Score ${short(score)}: ${verdict}. ${percent(p)} of new threes score as high or higher.` +
          (where ? ` The oddest ink is ${where}.` : ""),
  );
  const odd = where ? `, the oddest ink ${where}` : "";
  seen.setAttribute("aria-label", `The drawing in 28 by 28 pixels${odd}`);
}

function update() {
  const image = strokes.raster(values.drawing, values.pen, values.fit === "yes");
  const empty = !image.some(Boolean);
  result = { image, empty, score: detector.score(image) };
  map = null;
  seen.dataset.pixels = Array.from(image, (v) => v.toString(16).padStart(2, "0")).join("");
  paper();
  drawSeen(image);
  drawStrip(empty ? null : result.score);
  tell();
  nearest.classList.add("old");
  delete box.dataset.still;
  later(stepsOf(image, empty), () => {
    drawSeen(image);
    tell();
    nearest.classList.remove("old");
    box.dataset.still = "";
  });
}

/** Occlusion map and nearest threes, once the sheet of threes is there. */
const stepsOf = (image, empty) =>
  function* () {
    if (empty) {
      nearest.replaceChildren();
      return;
    }
    const falls = new Array(PATCHES * PATCHES).fill(0);
    for (const [k, fall] of network.occlusion(image, detector.score)) {
      falls[k] = fall;
      yield;
    }
    map = falls;
    drawSeen(image);
    tell();
    yield;
    if (whole) {
      yield* prepareThrees(whole);
      showNearest();
    }
  };

const updateSoon = dom.everyFrame(update);
let whole = null;
loaded.then((sheetOfThrees) => {
  whole = sheetOfThrees;
  updateSoon();
});

function change(next) {
  Object.assign(values, next);
  values.drawing = values.drawing.filter((s, k, all) => s.length || k === all.length - 1);
  pen.set(values.pen);
  keep({ ...values, drawing: values.drawing.filter((s) => s.length) });
  updateSoon();
}

const titled = (text, ...parts) => html("figure", { class: "demo-figure" }, ...parts, html("figcaption", {}, text));
stage.append(
  presets,
  html(
    "div",
    { class: "demo-drawing" },
    titled("Draw here", canvas),
    titled("What the network sees; orange ink raises the score, blue lowers it", seen),
    html("div", { class: "demo-numbers" }, facts.element, pen.element, fitBox),
  ),
  help,
  titled("Scores of 1,010 threes that the network has not seen, and yours", stripBox),
  titled("The nearest of 200 training threes, as the network sees them", nearest),
  spoken.element,
);
width = stripBox.clientWidth;
update();
dom.onWidth(stage, () => {
  width = stripBox.clientWidth;
  drawStrip(result.empty ? null : result.score);
});
// Colors of the map are the page's.
new MutationObserver(() => drawSeen(result.image)).observe(document.documentElement, {
  attributeFilter: ["data-theme"],
});
dom.ready(box, canvas);
