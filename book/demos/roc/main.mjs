// "ROC and threshold" (chapter 10): one threshold, and all that it decides.
import style from "../demo.css";
import data from "../data/scores.json";
import * as dom from "../lib/dom.mjs";
import { compose, decades, frame, path, picture, scale } from "../lib/plot.mjs";
import { oneOf, settings, within } from "../lib/settings.mjs";
import { decode } from "../lib/steps.mjs";
import * as rates from "./rates.mjs";

const { html, svg } = dom;
const SAMPLE = 10_000;
const BINS = 60;
const LOW_PI = 1e-4;
const HIGH_PI = 0.99;
const TEST_PI = 0.899; // 8,990 of the test set's 10,000 images

const detectors = data.detectors.map(({ name, unit, normal, anomalous }) => {
  const groups = {
    normal: decode(normal, unit),
    anomalous: decode(anomalous, unit),
  };
  const low = Math.min(groups.normal[0], groups.anomalous[0]) * 0.98;
  const high = Math.max(groups.normal.at(-1), groups.anomalous.at(-1)) * 1.02;
  const edges = Array.from({ length: BINS + 1 }, (_, k) => low * (high / low) ** (k / BINS));
  const curve = rates.curve(groups.normal, groups.anomalous);
  // A curve of thousands of corners looks like one of some hundred.
  const every = Math.ceil(curve.t.length / 400);
  const shown = [...curve.t.keys()].filter((k) => k % every === 0 || k === curve.t.length - 1);
  return {
    name,
    ...groups,
    low,
    high,
    edges,
    curve,
    shown,
    auc: rates.auc(groups.normal, groups.anomalous),
    bars: {
      normal: rates.histogram(groups.normal, edges),
      anomalous: rates.histogram(groups.anomalous, edges),
    },
  };
});
const byName = Object.fromEntries(detectors.map((one) => [one.name, one]));
const first = detectors[0].name;
const usual = { detector: first, t: 0, pi: TEST_PI, cost: 1 }; // t = 0: its usual one
const usualThreshold = (one) => rates.thresholdFor(one.normal, 0.1);

const { values, keep } = settings("roc", usual, {
  parse: {
    detector: oneOf(detectors.map(({ name }) => name)),
    pi: within(LOW_PI, HIGH_PI),
    cost: within(1, 1000),
  },
});
let one = byName[values.detector];
const clamp = (t) => Math.min(Math.max(t, one.low), one.high);
values.t = values.t > 0 ? clamp(values.t) : usualThreshold(one);

const percent = (share) =>
  `${(100 * share).toFixed(share > 0 && share < 0.00995 ? 2 : share < 0.0995 ? 1 : 0)} %`;
const count = (number) => Math.round(number).toLocaleString("en-US");
const short = (score) => Number(score.toPrecision(3)).toString();

const { box, stage } = dom.place("roc", style);

// --- controls -----------------------------------------------------------------------

const along = {
  read: (position) => one.low * (one.high / one.low) ** position,
  write: (t) => Math.log(t / one.low) / Math.log(one.high / one.low),
};
const threshold = dom.slider({
  label: "Threshold",
  value: values.t,
  steps: 1000,
  ...along,
  say: short,
  changed: (t) => change({ t }),
});
const baseRate = dom.slider({
  label: "Base rate π, the share of anomalies",
  value: values.pi,
  ...dom.logarithmic(LOW_PI, HIGH_PI),
  say: percent,
  changed: (pi) => change({ pi }),
});
const price = dom.slider({
  label: "A missed anomaly costs as much as",
  value: values.cost,
  ...dom.logarithmic(1, 1000),
  say: (ratio) => `${short(ratio)} false alarm${ratio === 1 ? "" : "s"}`,
  changed: (ratio) => change({ cost: ratio }),
});
const detector = dom.choice({
  label: "Detector",
  options: detectors.map(({ name }) => [name, name]),
  value: one.name,
  changed: (name) => {
    one = byName[name];
    change({ detector: name, t: usualThreshold(one) });
  },
});
const moveTo = (t) => change({ t: clamp(t) });
const jumps = html(
  "div",
  { class: "demo-buttons" },
  dom.button("10 % false alarms", () => moveTo(rates.thresholdFor(one.normal, 0.1))),
  dom.button("1 % false alarms", () => moveTo(rates.thresholdFor(one.normal, 0.01))),
  dom.button("Cheapest", () => moveTo(cheapestThreshold())),
  dom.button("This test set's π", () => change({ pi: TEST_PI })),
);

/** A threshold that the slider can show, at the cheapest corner. */
function cheapestThreshold() {
  const t = one.curve.t[rates.cheapest(one.curve, values.pi, values.cost)];
  return t === -Infinity ? one.low : t;
}

// --- pictures -----------------------------------------------------------------------

const scoresPicture = picture(
  "Histograms of the scores, normal images above the axis, anomalies below it, cut by the threshold.",
  { class: "demo-picture demo-drag" },
);
const rocPicture = picture("ROC curve with the point of this threshold.");
const prPicture = picture("Precision–recall curve at this base rate, with the point of this threshold.");
const costPicture = picture("Expected cost at every threshold, with the point of this threshold.", {
  class: "demo-picture demo-drag",
});
const wide = html("div", { class: "demo-wide" }, scoresPicture, costPicture);
const rocBox = html("div", {}, rocPicture);
const prBox = html("div", {}, prPicture);
const square = html("div", { class: "demo-pair" }, rocBox, prBox);
const INSET = { left: 34, right: 10 };

function scoreScale(width) {
  return scale([one.low, one.high], [INSET.left, width - INSET.right], true);
}

function drawScores(width) {
  const [top, middle, bottom] = [24, 96, 168];
  const x = scoreScale(width);
  const cut = x(values.t);
  const parts = [];
  for (const [kind, sign] of [
    ["normal", -1],
    ["anomalous", 1],
  ]) {
    const heights = one.bars[kind];
    const most = Math.max(...heights);
    const unit = (middle - top - 4) / most;
    let passed = "";
    let hit = "";
    heights.forEach((share, k) => {
      if (!share) return;
      const [from, to] = [x(one.edges[k]), x(one.edges[k + 1])];
      const y = (middle + sign * share * unit).toFixed(1);
      const bar = (a, b) => `M${a.toFixed(1)} ${middle}V${y}H${b.toFixed(1)}V${middle}Z`;
      if (from < cut) passed += bar(from, Math.min(to, cut));
      if (to > cut) hit += bar(Math.max(from, cut), to);
    });
    parts.push(svg("path", { class: `${kind} passed`, d: passed }));
    parts.push(svg("path", { class: `${kind} flagged`, d: hit }));
  }
  const axis = `M${INSET.left} ${middle}H${width - INSET.right}`;
  parts.push(svg("path", { class: "axis", d: axis }));
  for (const tick of decades(one.low, one.high)) {
    parts.push(svg("text", { x: x(tick), y: bottom + 14, "text-anchor": "middle" }, short(tick)));
  }
  parts.push(
    svg("text", { x: 0, y: top + 8 }, "normal"),
    svg("text", { x: 0, y: bottom - 4 }, "anomalies"),
    svg("path", { class: "threshold", d: `M${cut} ${top - 6}V${bottom}` }),
    svg("circle", { class: "handle", cx: cut, cy: top - 6, r: 6 }),
    svg("text", { x: cut - 10, y: 12, "text-anchor": "end" }, cut > 90 ? "passed" : ""),
    svg("text", { x: cut + 10, y: 12 }, cut < width - 70 ? "flagged" : ""),
  );
  compose(scoresPicture, width, 186, parts);
}

function drawCost(width) {
  const [top, bottom] = [26, 96];
  const x = scoreScale(width);
  const costs = one.shown.map((k) =>
    rates.cost(values.pi, values.cost, one.curve.tpr[k], one.curve.fpr[k]),
  );
  const most = Math.max(...costs);
  const y = scale([0, most], [bottom, top]);
  const ts = one.shown.map((k) => Math.max(one.curve.t[k], one.low));
  const now = here();
  const at = rates.cost(values.pi, values.cost, now.tpr, now.fpr);
  compose(costPicture, width, bottom + 34, [
    svg("text", { x: 0, y: 14 }, `cost of ${count(SAMPLE)} samples, in false alarms`),
    svg("text", { x: INSET.left - 6, y: bottom + 4, "text-anchor": "end" }, "0"),
    svg("path", { class: "axis", d: `M${INSET.left} ${top}V${bottom}H${width - INSET.right}` }),
    svg("path", { class: "curve", d: path(ts.map(x), costs.map(y)) }),
    svg("path", { class: "threshold", d: `M${x(values.t)} ${top}V${bottom}` }),
    svg("circle", { class: "point", cx: x(values.t), cy: y(at), r: 5 }),
    svg("text", { x: (INSET.left + width) / 2, y: bottom + 20, "text-anchor": "middle" }, "score"),
  ]);
}

function drawSquare(target, width, { xlabel, ylabel, xs, ys, point, chance }) {
  const side = Math.min(width, 300);
  const [left, right, top, bottom] = [30, side - 12, 22, side - 30];
  const x = scale([0, 1], [left, right]);
  const y = scale([0, 1], [bottom, top]);
  const dots = Number.isFinite(point[1])
    ? [svg("circle", { class: "point", cx: x(point[0]), cy: y(point[1]), r: 5 })]
    : [];
  compose(target, side, side + 4, [
    ...frame({
      x, y, left, right, top, bottom, xlabel, ylabel,
      xticks: [0, 0.5, 1],
      yticks: [0, 0.5, 1],
    }),
    svg("path", { class: "chance", d: path(chance[0].map(x), chance[1].map(y)) }),
    svg("path", { class: "curve", d: path(xs.map(x), ys.map(y)) }),
    ...dots,
  ]);
}

/** Both rates at the present threshold. */
const here = () => ({
  tpr: rates.flagged(one.anomalous, values.t),
  fpr: rates.flagged(one.normal, values.t),
});

// --- numbers ------------------------------------------------------------------------

const cells = Object.fromEntries(
  ["found", "missed", "false", "passed"].map((key) => [key, html("td")]),
);
const row = (head, ...rest) => html("tr", {}, html("th", { scope: "row" }, head), ...rest);
const table = html(
  "table",
  { class: "demo-table" },
  html("caption", {}, `Of ${count(SAMPLE)} samples at this base rate`),
  html(
    "thead",
    {},
    html(
      "tr",
      {},
      html("td"),
      ...["flagged", "passed"].map((text) => html("th", { scope: "col" }, text)),
    ),
  ),
  html("tbody", {}, row("anomalies", cells.found, cells.missed), row("normal", cells.false, cells.passed)),
);
const facts = dom.factList();
const spoken = dom.speaker();

function tell() {
  const { tpr, fpr } = here();
  const numbers = rates.confusion(values.pi, tpr, fpr, SAMPLE);
  for (const [key, cell] of Object.entries(cells)) dom.setText(cell, count(numbers[key]));
  const worth = rates.precision(values.pi, tpr, fpr);
  const right = Number.isFinite(worth) ? percent(worth) : "nothing is flagged";
  const costs = (at) => count(SAMPLE * rates.cost(values.pi, values.cost, at.tpr, at.fpr));
  const best = rates.cheapest(one.curve, values.pi, values.cost);
  const least = costs({ tpr: one.curve.tpr[best], fpr: one.curve.fpr[best] });
  const lines = [
    ["Anomalies found (TPR)", percent(tpr)],
    ["False alarms (FPR)", percent(fpr)],
    ["Flags that are right (precision)", right],
    ["Cost", `${costs({ tpr, fpr })}; cheapest ${least}`],
    ["AUC, of all thresholds", percent3(one.auc)],
    ["Average precision at this π", percent3(averagePrecisionNow())],
  ];
  facts.show(lines);
  spoken.say(
    `${percent(tpr)} of the anomalies and ${percent(fpr)} of the normal images are flagged. ` +
      (Number.isFinite(worth) ? `${right} of the flags are right.` : "Nothing is flagged."),
  );
}

const percent3 = (share) => `${(100 * share).toFixed(1)} %`;
const known = { key: "" };
function averagePrecisionNow() {
  const key = `${one.name} ${values.pi}`;
  if (known.key !== key) {
    Object.assign(known, { key, value: rates.averagePrecision(one.curve, values.pi) });
  }
  return known.value;
}

const tellSoon = dom.rarely(tell);

// --- together -----------------------------------------------------------------------

let width = 0;
let half = 0;
function measure() {
  width = wide.clientWidth;
  half = rocBox.clientWidth;
}

const draw = dom.everyFrame(() => {
  const { tpr, fpr } = here();
  const curve = one.curve;
  const found = one.shown.map((k) => curve.tpr[k]);
  const falls = one.shown.map((k) => curve.fpr[k]);
  drawScores(width);
  drawCost(width);
  drawSquare(rocPicture, half, {
    xlabel: "FPR", ylabel: "TPR", xs: falls, ys: found, point: [fpr, tpr],
    chance: [[0, 1], [0, 1]],
  });
  drawSquare(prPicture, half, {
    xlabel: "recall (TPR)", ylabel: "precision",
    xs: found,
    ys: one.shown.map((k) => rates.precision(values.pi, curve.tpr[k], curve.fpr[k])),
    point: [tpr, rates.precision(values.pi, tpr, fpr)],
    chance: [[0, 1], [values.pi, values.pi]],
  });
  tellSoon();
});

function change(next) {
  Object.assign(values, next);
  threshold.set(values.t);
  baseRate.set(values.pi);
  keep({ ...values, t: values.t === usualThreshold(one) ? 0 : values.t });
  draw();
}

for (const target of [scoresPicture, costPicture]) {
  const drag = (event) => {
    const left = target.getBoundingClientRect().left;
    moveTo(scoreScale(width).back(event.clientX - left));
  };
  target.addEventListener("pointerdown", (event) => {
    target.setPointerCapture(event.pointerId);
    drag(event);
  });
  target.addEventListener("pointermove", (event) => {
    if (target.hasPointerCapture(event.pointerId)) drag(event);
  });
}

stage.append(
  html("div", { class: "demo-controls" }, detector.element, threshold.element, baseRate.element, price.element),
  jumps,
  wide,
  square,
  html("div", { class: "demo-pair demo-apart" }, table, facts.element),
  spoken.element,
);
dom.onWidth(stage, () => {
  measure();
  draw();
});
measure();
draw();
dom.ready(box, threshold.input);
