// "Deep SVDD playground" (chapter 4): a small network learns, or collapses, in the page.
import style from "../demo.css";
import { cut, trace } from "../lib/contour.mjs";
import * as dom from "../lib/dom.mjs";
import { editor, markAt } from "../lib/editor.mjs";
import { fill, ground, stroke } from "../lib/ground.mjs";
import { compose, path, picture, scale } from "../lib/plot.mjs";
import { oneOf, settings, within } from "../lib/settings.mjs";
import { auc } from "../roc/rates.mjs";
import * as network from "./network.mjs";
import { ANOMALIES, area, cloud, MOST } from "./points.mjs";

const { html, svg } = dom;
const RATE = 5e-3; // Adam's, as in chapter 4
const AT_ONCE = 200; // steps for readers who want nothing to move
const BUDGET = 4; // ms of a frame for steps
const TOLD = 10; // frames from one change of the numbers to the next
const MOST_STEPS = 2000;
const [FINE, COARSE] = [6, 12]; // pixels between scores that are computed; while it trains
const COLLAPSED = 1e-3; // relative spread; chapter 4's collapsed networks are below it
const DECAYS = [0, 1e-6, 1e-3, 3e-3, 0.01, 0.03, 0.1];
const calm = matchMedia("(prefers-reduced-motion: reduce)");

const healthy = {
  bias: "no", activation: "leaky", center: "fixed", decay: 0.03, objective: "one-class", nu: 0.1,
};
const PRESETS = {
  healthy,
  "free center": { ...healthy, center: "free" },
  "bias terms": { ...healthy, bias: "yes" },
  "bounded activation": { ...healthy, activation: "sigmoid" },
  "ν-property": { ...healthy, objective: "soft-boundary", nu: 0.2, decay: 1e-3 },
};
const usual = { ...healthy, seed: 0, points: cloud(), anomalies: ANOMALIES };
const yesNo = oneOf(["yes", "no"]);
const { values, keep } = settings("playground", usual, {
  parse: {
    bias: yesNo,
    activation: oneOf(["leaky", "sigmoid"]),
    center: oneOf(["fixed", "free"]),
    objective: oneOf(["one-class", "soft-boundary"]),
    decay: within(0, 0.1),
    nu: within(0.02, 1),
    seed: within(0, 999),
    points: area.parse(MOST),
    anomalies: area.parse(MOST, 0),
  },
  format: { points: area.write, anomalies: area.write },
});
values.points = [...values.points];
values.anomalies = [...values.anomalies];

const { box, stage } = dom.place("playground", style);
const spoken = dom.speaker();
const short = (value) =>
  value === 0 || (Math.abs(value) >= 1e-3 && Math.abs(value) < 1e4)
    ? Number(value.toPrecision(3)).toString()
    : value.toExponential(1).replace("-", "−");

// --- training -----------------------------------------------------------------------

const flat = (points) => Float64Array.from(points.flat());
let layers;
let center;
let trainer;
let history;
let frameOf; // half the width of the picture of representations: as at step 0

function begin() {
  layers = network.layersOf(values.seed, values.bias === "yes");
  const z = represent(flat(values.points));
  center = network.initialCenter(z);
  const all = network.squaredDistances(represent(flat(everything())), center);
  frameOf = 1.05 * Math.sqrt(Math.max(...all));
  follow();
  history = { steps: [], loss: [], spread: [] };
}

/** Go on with these settings: weights stay, the optimizer begins anew. */
function follow() {
  trainer = network.training(layers, center, {
    activation: values.activation,
    objective: values.objective,
    nu: values.nu,
    freeCenter: values.center === "free",
    decay: values.decay,
    rate: RATE,
  });
}

const everything = () => [...values.points, ...values.anomalies];
const represent = (x) => network.forward(layers, values.activation, x).at(-1);
let taken = 0;

function step(count) {
  const x = flat(values.points);
  for (let k = 0; k < count && taken < MOST_STEPS; k++) {
    const loss = trainer.step(x);
    taken += 1;
    // Evenly spread over the logarithm of the step, as they are drawn.
    if (taken >= 1.04 * (history.steps.at(-1) ?? 0)) {
      history.steps.push(taken);
      history.loss.push(loss);
      history.spread.push(network.relativeSpread(represent(x), center));
    }
  }
}

let running = false;
function run() {
  if (!running) return;
  if (!box.isConnected || taken >= MOST_STEPS) return pause();
  const end = performance.now() + BUDGET;
  do step(1);
  while (performance.now() < end && taken < MOST_STEPS);
  // A part a frame: all of them would take a phone longer than a frame has.
  if (turn % turns.length === 0) look();
  turns[turn % turns.length]();
  if (++turn % TOLD === 0) tell();
  requestAnimationFrame(run);
}
let turn = 0;
const turns = [
  () => drawPlane(COARSE),
  () => drawCloud(),
  () => drawLoss(),
];

function pause() {
  running = false;
  train.textContent = "Train";
  draw();
  keep(values);
}

const train = dom.button("Train", () => {
  if (running) return pause();
  if (calm.matches) {
    step(AT_ONCE);
    return draw();
  }
  running = true;
  train.textContent = "Pause";
  return run();
});
const once = dom.button(`${AT_ONCE} steps`, () => {
  step(AT_ONCE);
  draw();
});

function restart() {
  taken = 0;
  begin();
  draw();
}

// --- controls -----------------------------------------------------------------------

/** A change of what is trained begins anew; of how, goes on. */
function change(next, anew) {
  Object.assign(values, next);
  for (const [key, control] of Object.entries(controls)) control.set(values[key]);
  controls.nu.input.disabled = values.objective !== "soft-boundary";
  keep(values);
  if (anew) restart();
  else {
    follow();
    drawSoon();
  }
}

const controls = {
  center: dom.choice({
    label: "Center",
    options: [["fixed", "fixed"], ["free", "free: a parameter"]],
    value: values.center,
    changed: (key) => change({ center: key }),
  }),
  bias: dom.choice({
    label: "Bias terms",
    options: [["no", "none"], ["yes", "in every layer"]],
    value: values.bias,
    changed: (key) => change({ bias: key }, true),
  }),
  activation: dom.choice({
    label: "Activation",
    options: [["leaky", "leaky ReLU"], ["sigmoid", "sigmoid: bounded"]],
    value: values.activation,
    changed: (key) => change({ activation: key }, true),
  }),
  objective: dom.choice({
    label: "Objective",
    options: [["one-class", "one-class"], ["soft-boundary", "soft-boundary"]],
    value: values.objective,
    changed: (key) => change({ objective: key }),
  }),
  decay: dom.slider({
    label: "Weight decay λ",
    value: values.decay,
    steps: DECAYS.length - 1,
    read: (position) => DECAYS[Math.round(position * (DECAYS.length - 1))],
    write: (value) => {
      const near = DECAYS.reduce((a, b) => (Math.abs(b - value) < Math.abs(a - value) ? b : a));
      return DECAYS.indexOf(near) / (DECAYS.length - 1);
    },
    say: short,
    changed: (decay) => change({ decay }),
  }),
  nu: dom.slider({
    label: "ν",
    value: values.nu,
    steps: 98,
    ...dom.linear(0.02, 1),
    say: (v) => v.toFixed(2),
    changed: (v) => change({ nu: Math.round(100 * v) / 100 }),
  }),
};
controls.nu.input.disabled = values.objective !== "soft-boundary";
const presets = html(
  "div",
  { class: "demo-buttons", role: "group", "aria-label": "Settings" },
  ...Object.entries(PRESETS).map(([name, preset]) =>
    dom.button(name, () => {
      if (running) pause();
      change(preset, true);
    }),
  ),
);
const kind = dom.choice({
  label: "New points are",
  options: [["points", "normal"], ["anomalies", "anomalies"]],
  value: "anomalies",
  changed: () => {},
});

// --- points -------------------------------------------------------------------------

/** The list that a point is in, and its place there. */
const placed = (k) => {
  const n = values.points.length;
  return k < n ? [values.points, k] : [values.anomalies, k - n];
};

const sheet = editor({
  area,
  label: "Normal points and anomalies in the plane, and the region of low scores",
  points: everything,
  look(k) {
    const normal = k < values.points.length;
    const score = short(now.scores[k] ?? 0);
    return {
      mark: normal ? "disc" : "triangle",
      kind: normal ? "is-normal" : "outside",
      says: `${normal ? "normal" : "anomaly"}, score ${score}`,
    };
  },
  move(k, point) {
    const [list, place] = placed(k);
    list[place] = point;
    keep(values);
    drawSoon();
  },
  add(point) {
    const list = values[kind.value];
    if (list.length >= MOST) return `There is room for ${MOST} points of a kind.`;
    list.push(point);
    keep(values);
    look();
    drawSoon();
    return (list === values.points ? 0 : values.points.length) + list.length - 1;
  },
  remove(k) {
    const [list, place] = placed(k);
    if (list === values.points && list.length <= 2) return "Two normal points have to stay.";
    list.splice(place, 1);
    keep(values);
    look();
    return drawSoon();
  },
  say: spoken.say,
});

// --- pictures -----------------------------------------------------------------------

const cloudPicture = picture("Representations of the points, and the center.");
const lossPicture = picture("Loss and relative spread during training.");
const grounds = {
  plane: ground(box, () => drawPlane()),
  cloud: ground(box, () => drawCloud()),
  loss: ground(box, () => drawLoss()),
};
const layered = (below, above) => html("div", { class: "demo-layers" }, below.element, above);
const sheetBox = layered(grounds.plane, sheet.element);
const cloudBox = layered(grounds.cloud, cloudPicture);
const lossBox = layered(grounds.loss, lossPicture);
const now = { scores: [] };

/** Compute what is shown of the network as it is. */
function look() {
  const n = values.points.length;
  const z = represent(flat(everything()));
  const scores = network.squaredDistances(z, center);
  const own = scores.subarray(0, n);
  const nu = values.objective === "soft-boundary" ? values.nu : 0.1;
  const r2 = network.bestSquaredRadius(own, nu);
  Object.assign(now, {
    z,
    scores,
    r2,
    outside: own.filter((d) => d > r2).length,
    atLeast: own.filter((d) => d >= r2).length,
    spread: network.relativeSpread(z.subarray(0, 2 * n), center),
    auc: values.anomalies.length
      ? auc(Float64Array.from(own).sort(), Float64Array.from(scores.subarray(n)).sort())
      : null,
    norm: Math.sqrt(layers.reduce((sum, { w }) => sum + w.reduce((s, v) => s + v * v, 0), 0)),
  });
}

function drawPlane(cell = FINE) {
  const { pxs, pys, xs, ys } = sheet.grid(cell);
  const x = new Float64Array(2 * xs.length * ys.length);
  let next = 0;
  for (const v of ys) {
    for (const u of xs) {
      x[next++] = u;
      x[next++] = v;
    }
  }
  const scores = network.squaredDistances(represent(x), center);
  const [region, ...levels] = [1, 4, 16].map((factor) => cut(scores, pxs, pys, factor * now.r2));
  grounds.plane.paint((pen, colors) => {
    const lines = new Path2D();
    for (const level of levels) trace({ ...level, whole: [], shapes: [] }, { line: lines });
    stroke(pen, lines, colors.muted, 1);
    const paths = { area: new Path2D(), line: new Path2D() };
    trace(region, paths);
    pen.globalAlpha = 0.16;
    fill(pen, paths.area, colors.normal);
    pen.globalAlpha = 1;
    stroke(pen, paths.line, colors.normal, 2);
  });
}

function composeCloud(width) {
  const height = Math.min(width, 240);
  const [x, y] = [width / 2, height / 2];
  grounds.cloud.fit(width, height);
  compose(cloudPicture, width, height, [
    svg("rect", { class: "axis", x: 0.5, y: 0.5, width: width - 1, height: height - 1 }),
    svg("path", { class: "cross", d: `M${x - 9} ${y}H${x + 9}M${x} ${y - 9}V${y + 9}` }),
  ]);
}

function drawCloud() {
  const [width, height] = sizeOf(cloudPicture);
  const unit = (Math.min(width, height) / 2 - 8) / frameOf;
  const inside = (v, size) => Math.min(Math.max(v, 6), size - 6);
  const marks = { disc: "", triangle: "" };
  for (let k = 0; k < now.scores.length; k++) {
    const [u, v] = [0, 1].map((axis) => now.z[2 * k + axis] - center[axis]);
    const mark = k < values.points.length ? "disc" : "triangle";
    marks[mark] += markAt(
      mark, inside(width / 2 + unit * u, width), inside(height / 2 - unit * v, height),
    );
  }
  const circle = new Path2D();
  circle.arc(width / 2, height / 2, Math.min(Math.sqrt(now.r2) * unit, 2 * width), 0, 2 * Math.PI);
  grounds.cloud.paint((pen, colors) => {
    stroke(pen, circle, colors.normal, 2);
    fill(pen, new Path2D(marks.triangle), colors.anomaly);
    fill(pen, new Path2D(marks.disc), colors.normal);
  });
}

const sizeOf = (target) => [target.width.baseVal.value, target.height.baseVal.value];
const lossScales = {};

function composeLoss(width) {
  const height = 240;
  const [left, right, top, bottom] = [44, width - 10, 14, height - 32];
  const x = scale([1, MOST_STEPS], [left, right], true);
  const y = scale([1e-8, 100], [bottom, top], true);
  Object.assign(lossScales, { x, y });
  const parts = [svg("path", { class: "axis", d: `M${left} ${top}V${bottom}H${right}` })];
  for (const [tick, name] of [[1, "1"], [10, "10"], [100, "100"], [1000, "1000"]]) {
    parts.push(svg("text", { x: x(tick), y: bottom + 14, "text-anchor": "middle" }, name));
  }
  for (const [tick, name] of [[100, "100"], [1, "1"], [1e-2, "10⁻²"], [1e-4, "10⁻⁴"], [1e-6, "10⁻⁶"], [1e-8, "10⁻⁸"]]) {
    parts.push(svg("text", { x: left - 6, y: y(tick) + 4, "text-anchor": "end" }, name));
    parts.push(svg("path", { class: "axis", d: `M${left} ${y(tick)}h-4` }));
  }
  const title = { x: (left + right) / 2, y: bottom + 29, "text-anchor": "middle" };
  grounds.loss.fit(width, height);
  compose(lossPicture, width, height, [...parts, svg("text", title, "step")]);
}

function drawLoss() {
  const { x, y } = lossScales;
  const at = history.steps.map(x);
  const curve = (heights) =>
    new Path2D(path(at, heights.map((v) => y(Math.min(Math.max(v, 1e-8), 100)))));
  grounds.loss.paint((pen, colors) => {
    stroke(pen, curve(history.loss), colors.curve, 2.2);
    pen.setLineDash([6, 3]);
    stroke(pen, curve(history.spread), colors.support, 2.2);
    pen.setLineDash([]);
  });
}

// --- numbers ------------------------------------------------------------------------

const facts = dom.factList();

/** What has become of the network, in a word. */
function state() {
  if (!taken) return "not trained";
  if (Math.hypot(...center) < 1e-2) return "collapsed: the center is at the origin";
  if (now.spread < COLLAPSED) return "collapsed: all points are one";
  return taken >= MOST_STEPS ? "trained" : "in training";
}

function tell() {
  const n = values.points.length;
  const lines = [
    ["Step", taken.toLocaleString("en-US")],
    ["Loss", history.loss.length ? short(history.loss.at(-1)) : "–"],
    ["Relative spread", short(now.spread)],
    ["‖c‖", short(Math.hypot(...center))],
    ["Norm of the weights", short(now.norm)],
    ["AUC of these anomalies", now.auc === null ? "none" : `${(100 * now.auc).toFixed(1)} %`],
  ];
  if (values.objective === "soft-boundary") {
    lines.push(
      ["Outside R", `${now.outside} of ${n}`],
      ["ν n", (values.nu * n).toFixed(1)],
      ["Outside or on R", `${now.atLeast} of ${n}`],
    );
  }
  facts.show(lines);
  dom.setText(verdict, state());
  if (!running) {
    const found = now.auc === null ? "" : `, AUC ${(100 * now.auc).toFixed(0)} %`;
    spoken.say(`Step ${taken}: ${state()}, relative spread ${short(now.spread)}${found}.`);
  }
  box.dataset.steps = taken;
}

// --- together -----------------------------------------------------------------------

const verdict = html("strong", { class: "demo-verdict" });
function measure() {
  sheet.fit(sheetBox.clientWidth);
  grounds.plane.fit(...sheet.size);
  composeCloud(cloudBox.clientWidth);
  composeLoss(lossBox.clientWidth);
}

function draw() {
  look();
  drawPlane();
  sheet.draw();
  drawCloud();
  drawLoss();
  tell();
}
const drawSoon = dom.everyFrame(draw);

const titled = (text, part) => html("figure", { class: "demo-figure" }, part, html("figcaption", {}, ...text));
const sample = (name, d) =>
  svg("svg", { class: "demo-key", viewBox: "0 0 20 10", "aria-hidden": "true" }, svg("path", { class: name, d }));
stage.append(
  presets,
  html("div", { class: "demo-controls" }, ...Object.values(controls).map(({ element }) => element)),
  html(
    "div",
    { class: "demo-buttons" },
    train,
    once,
    dom.button("Start again", () => {
      if (running) pause();
      restart();
    }),
    dom.button("Other weights", () => change({ seed: (values.seed + 1) % 1000 }, true)),
    verdict,
  ),
  titled(["The plane: within the blue line the scores are lowest; the thin lines are at 4 and 16 times the threshold"], sheetBox),
  html(
    "div",
    { class: "demo-buttons" },
    kind.element,
    dom.button("Add a point", sheet.add),
    dom.button("Remove the point", sheet.remove),
  ),
  sheet.help,
  html(
    "div",
    { class: "demo-pair" },
    titled(["The representations about the center; the frame stays as it was at step 0"], cloudBox),
    titled(
      [sample("curve", "M0 5H20"), " loss and ", sample("spread", "M0 5H20"), " relative spread"],
      lossBox,
    ),
  ),
  facts.element,
  spoken.element,
);
begin();
dom.onWidth(stage, () => {
  measure();
  draw();
});
measure();
draw();
dom.ready(box, train);
