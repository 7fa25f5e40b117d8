// "Kernel SVDD" (chapter 2): points under the hand, the exact solution at once.
import style from "../demo.css";
import data from "../data/points.json";
import { cut, trace } from "../lib/contour.mjs";
import * as dom from "../lib/dom.mjs";
import { editor, markAt } from "../lib/editor.mjs";
import { fill, ground, stroke } from "../lib/ground.mjs";
import { compose, path, picture, scale } from "../lib/plot.mjs";
import { oneOf, settings, within } from "../lib/settings.mjs";
import { area, MOST, ring } from "./points.mjs";
import { dualityGap, fit, gaussian, inner, margins, placeOf } from "./solver.mjs";

const { html, svg } = dom;
const LOW_NU = 0.02;
const [LOW_GAMMA, HIGH_GAMMA] = [0.05, 50];
const CELL = 7; // pixels between the places at which the score is computed
const PRESETS = {
  moons: data.moons.map(area.snap),
  "cloud and one distant point": data.cloud.map(area.snap),
  ring: ring(),
};
const MARK = { inside: "dot", boundary: "disc", outside: "triangle" };

const usual = { points: PRESETS.moons, nu: 0.2, gamma: 3, kernel: "Gaussian" };
const { values, keep } = settings("svdd", usual, {
  parse: {
    points: area.parse(MOST),
    nu: within(LOW_NU, 1),
    gamma: within(LOW_GAMMA, HIGH_GAMMA),
    kernel: oneOf(["Gaussian", "linear"]),
  },
  format: { points: area.write },
});
values.points = [...values.points];
let solution = null;

const { box, stage } = dom.place("svdd", style);
const spoken = dom.speaker();

// --- controls -----------------------------------------------------------------------

const nu = dom.slider({
  label: "ν",
  value: values.nu,
  steps: 98,
  ...dom.linear(LOW_NU, 1),
  say: (v) => v.toFixed(2),
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
const sheet = editor({
  area,
  label: "Points in the plane, and the region that SVDD encloses",
  points: () => values.points,
  look(k) {
    const where = placeOf(solution, k);
    const share = (solution.alpha[k] / solution.C).toFixed(2);
    const says = where === "boundary" ? "on the boundary" : where;
    return { mark: MARK[where], kind: where, says: `${says}, weight ${share} C` };
  },
  move(k, point) {
    values.points[k] = point;
    change({});
  },
  add(point) {
    if (values.points.length >= MOST) return `There is room for ${MOST} points. Remove one first.`;
    values.points.push(point);
    change({});
    return values.points.length - 1;
  },
  remove(k) {
    if (values.points.length <= 2) return "Two points have to stay.";
    values.points.splice(k, 1);
    return change({});
  },
  say: spoken.say,
});
const presets = html(
  "div",
  { class: "demo-buttons", role: "group", "aria-label": "Points" },
  ...Object.entries(PRESETS).map(([name, points]) =>
    dom.button(name, () => {
      sheet.chosen = 0;
      change({ points: [...points] });
    }),
  ),
  dom.button("Add a point", sheet.add),
  dom.button("Remove the point", sheet.remove),
);

// --- pictures -----------------------------------------------------------------------

const weights = picture("Weight of each point against its squared distance from the center.");
const grounds = { plane: ground(box, () => drawRegion()), weights: ground(box, () => drawWeights()) };
const layered = (below, above) => html("div", { class: "demo-layers" }, below.element, above);
const sheetBox = layered(grounds.plane, sheet.element);
const weightsBox = layered(grounds.weights, weights);

function drawRegion() {
  const { pxs, pys, xs, ys } = sheet.grid(CELL);
  const bend = values.kernel === "linear" ? null : values.gamma;
  const paths = { area: new Path2D(), line: new Path2D() };
  trace(cut(margins(solution, values.points, bend, xs, ys), pxs, pys), paths);
  grounds.plane.paint((pen, colors) => {
    pen.globalAlpha = 0.16;
    fill(pen, paths.area, colors.normal);
    pen.globalAlpha = 1;
    stroke(pen, paths.line, colors.normal, 2);
  });
}

const frame = {};
function composeWeights(width) {
  const height = 150;
  const [left, right, top, bottom] = [12, width - 34, 26, height - 34];
  Object.assign(frame, { left, right, top, bottom });
  grounds.weights.fit(width, height);
  compose(weights, width, height, [
    svg("path", { class: "axis", d: `M${left} ${top}V${bottom}H${right}` }),
    svg("path", { class: "chance", d: `M${left} ${top}H${right}` }),
    svg("text", { x: right + 4, y: top + 4 }, "C"),
    svg("text", { x: right + 4, y: bottom + 4 }, "0"),
    svg("text", { x: left, y: 10 }, "weight"),
    svg("text", { x: right, y: bottom + 20, "text-anchor": "end" }, "squared distance from the center"),
  ]);
}

function drawWeights() {
  const { left, right, top, bottom } = frame;
  const { d2, alpha, r2, C } = solution;
  const [least, most] = [Math.min(...d2, r2), Math.max(...d2, r2)];
  const spare = (most - least || 1) / 12;
  const across = scale([least - spare, most + spare], [left, right]);
  const up = scale([0, C], [bottom, top]);
  const marks = { inside: "", boundary: "", outside: "" };
  let chosen = "";
  d2.forEach((d, k) => {
    const where = placeOf(solution, k);
    const mark = markAt(MARK[where], across(d), up(alpha[k]));
    marks[where] += mark;
    if (k === sheet.chosen) chosen = mark;
  });
  const limit = new Path2D(path([across(r2), across(r2)], [top - 8, bottom]));
  grounds.weights.paint((pen, colors) => {
    pen.setLineDash([4, 4]);
    stroke(pen, limit, colors.muted, 1);
    pen.setLineDash([]);
    pen.font = `12px ${getComputedStyle(box).fontFamily}`;
    pen.textAlign = "center";
    pen.fillStyle = colors.text;
    pen.fillText("R²", across(r2), top - 12);
    fill(pen, new Path2D(marks.inside), colors.muted);
    fill(pen, new Path2D(marks.boundary), colors.support);
    fill(pen, new Path2D(marks.outside), colors.anomaly);
    stroke(pen, new Path2D(chosen), colors.text, 2);
  });
}

// --- numbers ------------------------------------------------------------------------

const facts = dom.factList();

function tell() {
  const n = values.points.length;
  const places = values.points.map((_, k) => placeOf(solution, k));
  const outside = places.filter((where) => where === "outside").length;
  const support = [...solution.alpha].filter((weight) => weight > 1e-9).length;
  const gap = dualityGap(solution, solution.K);
  facts.show([
    ["Outliers", `${outside} of ${n}`],
    ["ν n, between the two", (values.nu * n).toFixed(1)],
    ["Support vectors", `${support} of ${n}`],
    ["R²", solution.r2.toPrecision(3)],
    ["Duality gap", gap < 1e-8 ? "below 10⁻⁸" : gap.toExponential(1)],
  ]);
  spoken.say(`${outside} of ${n} points outside, ${support} support vectors.`);
}

const tellSoon = dom.rarely(tell);

// --- together -----------------------------------------------------------------------

function measure() {
  sheet.fit(sheetBox.clientWidth);
  grounds.plane.fit(...sheet.size);
  composeWeights(weightsBox.clientWidth);
}

function draw() {
  drawRegion();
  sheet.draw();
  drawWeights();
  tellSoon();
}

const solveNow = () => {
  const chosen = values.kernel === "linear" ? inner : gaussian(values.gamma);
  solution = fit(values.points, values.nu, chosen);
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
  sheet.help,
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
