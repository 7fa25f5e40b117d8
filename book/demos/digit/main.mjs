// "Draw a digit" (quick start): the trained network runs in the page.
import style from "../demo.css";
import data from "../data/digits/3.json";
import sheet from "../data/digits/3.png";
import model from "../data/digits/3.safetensors";
import * as dom from "../lib/dom.mjs";
import { compose, decades, path, picture, scale } from "../lib/plot.mjs";
import { oneOf, settings, within } from "../lib/settings.mjs";
import * as network from "./network.mjs";
import { load, NAMES, normalDigit, plural } from "./normal.mjs";
import * as strokes from "./strokes.mjs";

const { html, svg } = dom;
const { SIDE, PATCHES } = network;
const { GRID, PRESETS } = strokes;
// Of use only while the script is loaded for the first time.
const program = document.currentScript.src;
const THREE = normalDigit({ data, sheet, model });
const [LOW_PEN, HIGH_PEN] = [1, 5];
const SHOWN = 6; // nearest training images
const BUDGET = 8; // ms of a frame for what is computed on the side
const DRAWINGS = { three: "a three", mirrored: "a mirrored three", hole: "a three with a hole", fish: "a fish" };

const usual = { normal: "3", drawing: PRESETS.three, pen: 2.8, fit: "yes" };
const { values, keep } = settings("digit", usual, {
  parse: {
    normal: oneOf(NAMES.map((_, digit) => String(digit))),
    drawing: strokes.parse,
    pen: within(LOW_PEN, HIGH_PEN),
    fit: oneOf(["yes", "no"]),
  },
  format: { drawing: strokes.write },
});
const copy = (drawing) => drawing.map((stroke) => stroke.map((point) => [...point]));
values.drawing = copy(values.drawing);
let normal = THREE;

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

const chosen = dom.choice({
  label: "Normal digit",
  options: NAMES.map((name, digit) => [String(digit), name]),
  value: values.normal,
  changed: (digit) => change({ normal: digit }),
});
const AT_REST = "Each other digit loads about 100 kB, once.";
const loading = html("small", { class: "demo-loading" }, AT_REST);
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
  ...Object.entries(DRAWINGS).map(([key, name]) =>
    dom.button(name, () => change({ drawing: copy(PRESETS[key]) })),
  ),
  dom.button("Undo", undo),
  dom.button("Clear", () => change({ drawing: [] })),
);

// --- what the network makes of it ---------------------------------------------------

const seen = html("canvas", { class: "demo-seen", width: SIDE, height: SIDE, role: "img" });
const strip = picture("Scores of new images, the threshold, and the score of the drawing.");
const stripBox = html("div", { class: "demo-wide" }, strip);
const facts = dom.factList();
const spoken = dom.speaker();
const say = (text) => spoken.say(text);
const nearest = html("div", {
  class: "demo-tiles",
  role: "img",
  "aria-label": "Training images, when the drawing is still",
});

let width = 0;
function drawStrip(score) {
  const [left, right, top, bottom] = [4, width - 4, 24, 88];
  const { low, high, counts, detector } = normal;
  const { threshold } = detector;
  const x = scale([low, high], [left, right], true);
  const most = Math.max(...counts);
  const bars = counts.map((n, k) => {
    const [a, b] = [k, k + 1].map((e) => x(normal.edge(e)).toFixed(1));
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

/** The training images of the normal digit's sheet, decoded when a drawing is still. */
const sheets = new Map();
function sheetOf({ digit, sheet }) {
  if (!sheets.has(digit)) {
    sheets.set(digit, null);
    const whole = new Image();
    whole.addEventListener("load", () => {
      sheets.set(digit, whole);
      updateSoon();
    });
    whole.src = sheet;
  }
  return sheets.get(digit);
}

function* prepareShown({ shown, columns, n, detector }, whole) {
  const canvas = html("canvas", { width: whole.width, height: whole.height });
  const paint = canvas.getContext("2d", { willReadFrequently: true });
  paint.drawImage(whole, 0, 0);
  while (shown.length < n) {
    const k = shown.length;
    const place = [SIDE * (k % columns), SIDE * Math.floor(k / columns), SIDE, SIDE];
    const pixels = paint.getImageData(...place);
    const gray = Float64Array.from({ length: SIDE * SIDE }, (_, i) => pixels.data[4 * i]);
    shown.push({ pixels, z: detector.represent(gray) });
    yield;
  }
}

function showNearest() {
  const z = normal.detector.represent(result.image);
  const order = normal.shown
    .map((image) => [network.distance(image.z, z), image])
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
  nearest.setAttribute("aria-label", `Six training ${plural(normal.digit)}; squared distances ${apart}`);
}

// --- together -----------------------------------------------------------------------

let result = null;

function tell() {
  const { score, empty } = result;
  const { threshold } = normal.detector;
  const p = network.pValue(normal.scores, score);
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
      : `Score ${short(score)}: ${verdict}. ${percent(p)} of new ${plural(normal.digit)} score as high or higher.` +
          (where ? ` The oddest ink is ${where}.` : ""),
  );
  const odd = where ? `, the oddest ink ${where}` : "";
  seen.setAttribute("aria-label", `The drawing in 28 by 28 pixels${odd}`);
}

function update() {
  const image = strokes.raster(values.drawing, values.pen, values.fit === "yes");
  const empty = !image.some(Boolean);
  result = { image, empty, score: normal.detector.score(image) };
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

/** Occlusion map and nearest training images, once their sheet is there. */
const stepsOf = (image, empty) =>
  function* () {
    if (empty) {
      nearest.replaceChildren();
      return;
    }
    const falls = new Array(PATCHES * PATCHES).fill(0);
    for (const [k, fall] of network.occlusion(image, normal.detector.score)) {
      falls[k] = fall;
      yield;
    }
    map = falls;
    drawSeen(image);
    tell();
    yield;
    const whole = sheetOf(normal);
    if (whole) {
      yield* prepareShown(normal, whole);
      showNearest();
    }
  };

const updateSoon = dom.everyFrame(update);

// Digits that have been loaded, or are on their way.
const digits = new Map([["3", Promise.resolve(THREE)]]);

/** Make a digit the normal one; what was normal stays if it cannot be loaded. */
async function choose(digit) {
  if (!digits.has(digit)) digits.set(digit, load(digit, program));
  dom.setText(loading, digit === String(normal.digit) ? AT_REST : "Loading …");
  try {
    const next = await digits.get(digit);
    if (values.normal !== digit) return; // another was chosen meanwhile
    normal = next;
    dom.setText(loading, AT_REST);
  } catch {
    digits.delete(digit);
    if (values.normal !== digit) return;
    values.normal = String(normal.digit);
    change({});
    dom.setText(loading, "It could not be loaded. Try again.");
    return;
  }
  name();
  updateSoon();
}

/** Name the normal digit wherever the part speaks of it. */
function name() {
  const [count, many] = [normal.scores.length.toLocaleString("en-US"), plural(normal.digit)];
  const what = `Scores of ${count} new ${many}`;
  strip.setAttribute("aria-label", `${what}, the threshold, and the score of the drawing.`);
  dom.setText(captions.strip, `Scores of ${count} ${many} that the network has not seen, and yours`);
  dom.setText(captions.nearest, `The nearest of ${normal.n} training ${many}, as the network sees them`);
  nearest.replaceChildren();
  nearest.setAttribute("aria-label", `Training ${many}, when the drawing is still`);
  box.dataset.normal = normal.digit;
  delete box.dataset.still;
}

function change(next) {
  Object.assign(values, next);
  chosen.set(values.normal);
  if ("normal" in next) choose(values.normal);
  values.drawing = values.drawing.filter((s, k, all) => s.length || k === all.length - 1);
  pen.set(values.pen);
  keep({ ...values, drawing: values.drawing.filter((s) => s.length) });
  updateSoon();
}

const captions = { strip: html("figcaption"), nearest: html("figcaption") };
const titled = (caption, ...parts) => html("figure", { class: "demo-figure" }, ...parts, caption);
const caption = (text) => html("figcaption", {}, text);
stage.append(
  presets,
  html(
    "div",
    { class: "demo-drawing" },
    titled(caption("Draw here"), canvas),
    titled(caption("What the network sees; orange ink raises the score, blue lowers it"), seen),
    html("div", { class: "demo-numbers" }, facts.element, chosen.element, loading, pen.element, fitBox),
  ),
  help,
  titled(captions.strip, stripBox),
  titled(captions.nearest, nearest),
  spoken.element,
);
width = stripBox.clientWidth;
name();
update();
if (values.normal !== "3") choose(values.normal);
dom.onWidth(stage, () => {
  width = stripBox.clientWidth;
  drawStrip(result.empty ? null : result.score);
});
// Colors of the map are the page's.
new MutationObserver(() => drawSeen(result.image)).observe(document.documentElement, {
  attributeFilter: ["data-theme"],
});
dom.ready(box, canvas);
