// "Kernel SVDD" (chapter 2): points under the hand, the exact solution at once.
import style from "../demo.css";
import data from "../data/points.json";
import * as dom from "../lib/dom.mjs";
import { compose, picture, resize, scale } from "../lib/plot.mjs";
import { oneOf, settings, within } from "../lib/settings.mjs";
import { region } from "./contour.mjs";
import * as plane from "./points.mjs";
import { dualityGap, fit, gaussian, inner, margins, placeOf } from "./solver.mjs";

const { html, svg } = dom;
const { LOW, HIGH, MOST } = plane;
const LOW_NU = 0.02;
const [LOW_GAMMA, HIGH_GAMMA] = [0.05, 50];
const CELL = 7; // pixels between the places at which the score is computed
const PRESETS = {
  moons: { name: "moons", points: data.moons.map(plane.snap) },
  cloud: { name: "cloud and one distant point", points: data.cloud.map(plane.snap) },
  ring: { name: "ring", points: plane.ring() },
};

const usual = { points: PRESETS.moons.points, nu: 0.2, gamma: 3, kernel: "Gaussian" };
const { values, keep } = settings("svdd", usual, {
  parse: {
    points: plane.parse,
    nu: within(LOW_NU, 1),
    gamma: within(LOW_GAMMA, HIGH_GAMMA),
    kernel: oneOf(["Gaussian", "linear"]),
  },
  format: { points: plane.write },
});
values.points = values.points.map((point) => [...point]);
let chosen = 0; // the point that keys move
let solution = null;

const { box, stage } = dom.place("svdd", style);
const round = (value, digits = 2) => value.toFixed(digits);
const sign = (value) => round(value).replace("-", "−");

// --- controls -----------------------------------------------------------------------

const nu = dom.slider({
  label: "ν",
  value: values.nu,
  steps: 98,
  ...dom.linear(LOW_NU, 1),
  say: (v) => round(v),
  changed: (v) => change({ nu: Math.round(100 * v) / 100 }),
});
const gamma = dom.slider({
  label: "γ, how narrow the kernel is",
  value: values.gamma,
  ...dom.logarithmic(LOW_GAMMA, HIGH_GAMMA),
  say: (v) => Number(v.toPrecision(2)).toString(),
  changed: (v) => change({ gamma: Number(v.toPrecision(4)) }),
});
const kernel = dom.choice({
  label: "Kernel",
  options: [
    ["Gaussian", "Gaussian"],
    ["linear", "linear: a ball"],
  ],
  value: values.kernel,
  changed: (key) => change({ kernel: key }),
});
const presets = html(
  "div",
  { class: "demo-buttons", role: "group", "aria-label": "Points" },
  ...Object.values(PRESETS).map(({ name, points }) =>
    dom.button(name, () => {
      chosen = 0;
      change({ points: points.map((point) => [...point]) });
    }),
  ),
  dom.button("Add a point", () => add(besides(values.points[chosen]))),
  dom.button("Remove the point", () => remove(chosen)),
);

// --- points -------------------------------------------------------------------------

/** A free place next to a point. */
function besides([x, y]) {
  const steps = [
    [0.15, 0.1],
    [-0.15, 0.1],
    [0.15, -0.1],
    [-0.15, -0.1],
    [0.3, 0],
  ];
  const taken = (p) => values.points.some((q) => q[0] === p[0] && q[1] === p[1]);
  const free = steps.map(([dx, dy]) => plane.snap([x + dx, y + dy])).find((p) => !taken(p));
  return free ?? plane.snap([x + 0.45, y]);
}

function add(point) {
  if (values.points.length >= MOST) {
    spoken.say(`There is room for ${MOST} points. Remove one first.`);
    return;
  }
  values.points.push(point);
  chosen = values.points.length - 1;
  change({});
  focusChosen();
}

function remove(k) {
  if (values.points.length <= 2) {
    spoken.say("Two points have to stay.");
    return;
  }
  const focused = layer.contains(document.activeElement);
  values.points.splice(k, 1);
  chosen = Math.min(k, values.points.length - 1);
  change({});
  if (focused) focusChosen();
}

function move(k, point) {
  values.points[k] = plane.snap(point);
  change({});
}

const focusChosen = () => {
  drawPoints();
  layer.children[chosen].focus({ preventScroll: true });
};

function key(event) {
  const step = event.shiftKey ? 0.01 : 0.05;
  const [x, y] = values.points[chosen];
  const n = values.points.length;
  const moves = {
    ArrowLeft: [-step, 0],
    ArrowRight: [step, 0],
    ArrowUp: [0, step],
    ArrowDown: [0, -step],
  };
  const others = {
    PageDown: (chosen + 1) % n,
    PageUp: (chosen + n - 1) % n,
    Home: 0,
    End: n - 1,
  };
  if (event.key in moves) move(chosen, [x + moves[event.key][0], y + moves[event.key][1]]);
  else if (event.key in others) {
    chosen = others[event.key];
    focusChosen();
  } else if (event.key === "Delete" || event.key === "Backspace") remove(chosen);
  else if (event.key === "+" || event.key === "Insert") add(besides(values.points[chosen]));
  else return;
  event.preventDefault();
}

const MARKS = {
  inside: "m-3 0a3 3 0 1 0 6 0a3 3 0 1 0 -6 0z",
  boundary: "m-5 0a5 5 0 1 0 10 0a5 5 0 1 0 -10 0z",
  outside: "m0 -6l5.5 10.5h-11z",
};
const markAt = (where, x, y) => `M${x.toFixed(1)} ${y.toFixed(1)}${MARKS[where]}`;

function newPoint() {
  const point = svg(
    "g",
    { class: "sample", role: "button", keydown: key },
    svg("circle", { class: "reach", r: 14 }),
    svg("path", { class: "mark" }),
  );
  const index = () => [...layer.children].indexOf(point);
  point.addEventListener("focus", () => {
    chosen = index();
    drawPoints();
  });
  point.addEventListener("click", (event) => event.stopPropagation());
  point.addEventListener("pointerdown", (event) => {
    point.setPointerCapture(event.pointerId);
    chosen = index();
    focusChosen();
    event.preventDefault(); // else the page would scroll, or select its text
  });
  point.addEventListener("pointermove", (event) => {
    if (point.hasPointerCapture(event.pointerId)) move(index(), placeUnder(event));
  });
  return point;
}

// --- pictures -----------------------------------------------------------------------

const layer = svg("g", { class: "samples" });
const back = svg("g");
const sheet = svg(
  "svg",
  { class: "demo-picture demo-plane", role: "group", click: (event) => add(plane.snap(placeUnder(event))) },
  back,
  layer,
);
const help = html(
  "p",
  { class: "demo-help", id: dom.freshId() },
  "Drag a point; click a free place for a new one. Keys: arrows move the point, with " +
    "Shift a little; Page Up and Page Down go to another; + adds one, Delete removes it.",
);
sheet.setAttribute("aria-label", "Points in the plane, and the region that SVDD encloses");
sheet.setAttribute("aria-describedby", help.id);
const weights = picture("Weight of each point against its squared distance from the center.");
const sheetBox = html("div", { class: "demo-wide" }, sheet);
const weightsBox = html("div", {}, weights);

let x = scale([LOW[0], HIGH[0]], [0, 1]);
let y = scale([LOW[1], HIGH[1]], [1, 0]);

function placeUnder(event) {
  const { left, top } = sheet.getBoundingClientRect();
  return [x.back(event.clientX - left), y.back(event.clientY - top)];
}

function drawRegion(width, height) {
  const pixels = (size) => {
    const n = Math.ceil(size / CELL) + 1;
    return Float64Array.from({ length: n }, (_, k) => (k * size) / (n - 1));
  };
  const [px, py] = [pixels(width), pixels(height)];
  const grid = margins(
    solution,
    values.points,
    values.kernel === "linear" ? null : values.gamma,
    px.map((p) => x.back(p)),
    py.map((p) => y.back(p)),
  );
  const { area, line } = region(grid, px, py);
  back.replaceChildren(
    svg("path", { class: "region", d: area }),
    svg("path", { class: "boundary-line", d: line }),
  );
}

function drawPoints() {
  const n = values.points.length;
  while (layer.children.length > n) layer.lastChild.remove();
  while (layer.children.length < n) layer.append(newPoint());
  values.points.forEach((point, k) => {
    const node = layer.children[k];
    const where = placeOf(solution, k);
    const [i, j] = point;
    dom.setAttribute(node, "class", `sample ${where}${k === chosen ? " chosen" : ""}`);
    dom.setAttribute(node, "transform", `translate(${x(i).toFixed(1)} ${y(j).toFixed(1)})`);
    dom.setAttribute(node, "tabindex", k === chosen ? 0 : -1);
    dom.setAttribute(node.lastChild, "d", `M0 0${MARKS[where]}`);
    const share = round(solution.alpha[k] / solution.C);
    const says = where === "boundary" ? "on the boundary" : where;
    dom.setAttribute(
      node,
      "aria-label",
      `Point ${k + 1} of ${n} at ${sign(i)}, ${sign(j)}: ${says}, weight ${share} C`,
    );
  });
}

const group = (kind, d) => svg("g", { class: `sample ${kind}` }, svg("path", { class: "mark", d }));

function drawWeights(width) {
  const height = 150;
  const [left, right, top, bottom] = [12, width - 34, 26, height - 34];
  const { d2, alpha, r2, C } = solution;
  const [least, most] = [Math.min(...d2, r2), Math.max(...d2, r2)];
  const spare = (most - least || 1) / 12;
  const across = scale([least - spare, most + spare], [left, right]);
  const up = scale([0, C], [bottom, top]);
  const parts = [
    svg("path", { class: "axis", d: `M${left} ${top}V${bottom}H${right}` }),
    svg("path", { class: "chance", d: `M${left} ${up(C)}H${right}` }),
    svg("text", { x: right + 4, y: up(C) + 4 }, "C"),
    svg("text", { x: right + 4, y: bottom + 4 }, "0"),
    svg("path", { class: "chance", d: `M${across(r2)} ${top - 8}V${bottom}` }),
    svg("text", { x: across(r2), y: top - 12, "text-anchor": "middle" }, "R²"),
    svg("text", { x: left, y: 10 }, "weight"),
    svg("text", { x: right, y: bottom + 20, "text-anchor": "end" }, "squared distance from the center"),
  ];
  const marks = { inside: "", boundary: "", outside: "" };
  d2.forEach((d, k) => {
    const where = placeOf(solution, k);
    const mark = markAt(where, across(d), up(alpha[k]));
    if (k === chosen) parts.push(group(`${where} chosen`, mark));
    else marks[where] += mark;
  });
  for (const [where, d] of Object.entries(marks)) parts.push(group(where, d));
  compose(weights, width, height, parts);
}

// --- numbers ------------------------------------------------------------------------

const facts = dom.factList();
const spoken = dom.speaker();

function tell() {
  const n = values.points.length;
  const places = values.points.map((_, k) => placeOf(solution, k));
  const outside = places.filter((where) => where === "outside").length;
  const support = [...solution.alpha].filter((weight) => weight > 1e-9).length;
  const gap = dualityGap(solution, solution.K);
  const lines = [
    ["Outliers", `${outside} of ${n}`],
    ["ν n, between the two", round(values.nu * n, 1)],
    ["Support vectors", `${support} of ${n}`],
    ["R²", solution.r2.toPrecision(3)],
    ["Duality gap", gap < 1e-8 ? "below 10⁻⁸" : gap.toExponential(1)],
  ];
  facts.show(lines);
  spoken.say(`${outside} of ${n} points outside, ${support} support vectors.`);
}

// --- together -----------------------------------------------------------------------

let width = 0;
let beside = 0;
function measure() {
  width = sheetBox.clientWidth;
  beside = weightsBox.clientWidth;
}

function draw() {
  const height = Math.round((width * (HIGH[1] - LOW[1])) / (HIGH[0] - LOW[0]));
  x = scale([LOW[0], HIGH[0]], [0, width]);
  y = scale([LOW[1], HIGH[1]], [height, 0]);
  resize(sheet, width, height);
  drawRegion(width, height);
  drawPoints();
  drawWeights(beside);
  tell();
}

const solveNow = () => {
  const chosenKernel = values.kernel === "linear" ? inner : gaussian(values.gamma);
  solution = fit(values.points, values.nu, chosenKernel);
};

const update = dom.everyFrame(() => {
  solveNow();
  draw();
});

function change(next) {
  Object.assign(values, next);
  nu.set(values.nu);
  gamma.set(values.gamma);
  gamma.input.disabled = values.kernel === "linear";
  if (next.points || values.points.length !== solution.alpha.length) solveNow();
  keep(values);
  update();
}

stage.append(
  html("div", { class: "demo-controls" }, nu.element, gamma.element, kernel.element),
  presets,
  sheetBox,
  help,
  html("div", { class: "demo-pair demo-apart" }, weightsBox, facts.element),
  spoken.element,
);
solveNow();
gamma.input.disabled = values.kernel === "linear";
dom.onWidth(stage, () => {
  measure();
  draw();
});
measure();
draw();
dom.ready(box, nu.input);
