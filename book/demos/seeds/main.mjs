// "The luck of the seed" (chapter 7): pick the members of an ensemble, see AUC and spread.
import style from "../demo.css";
import bytes from "../data/seeds.safetensors";
import * as dom from "../lib/dom.mjs";
import { compose, decades, frame, path, picture, scale } from "../lib/plot.mjs";
import { oneOf, settings } from "../lib/settings.mjs";
import { histogram } from "../roc/rates.mjs";
import * as ensemble from "./ensemble.mjs";

const { html, svg } = dom;
const { normal, stages } = ensemble.read(bytes);
const names = Object.keys(stages);
const SEEDS = stages[names[0]].units.map((_, k) => k);
const ALL = ensemble.ensembles(SEEDS.length);
const BINS = 50;
const [LOW, HIGH] = [0.3, 6]; // of scores over the normal images' mean
const EDGES = Array.from({ length: BINS + 1 }, (_, k) => LOW * (HIGH / LOW) ** (k / BINS));

/** Members in an address: their seeds, in ascending order, "024". */
function membersOf(text) {
  const seeds = [...text].map(Number);
  const known = seeds.every((k, i) => SEEDS.includes(k) && (i === 0 || k > seeds[i - 1]));
  return seeds.length && known ? seeds : null;
}

const usual = { stage: "trained", members: [0], units: "own" };
const { values, keep } = settings("seeds", usual, {
  parse: { stage: oneOf(names), members: membersOf, units: oneOf(Object.keys(ensemble.WAYS)) },
  format: { members: (members) => members.join("") },
});

const { box, stage } = dom.place("seeds", style);
const spoken = dom.speaker();
const percent = (share) => `${(100 * share).toFixed(1)} %`;

/** AUCs of all ensembles of a stage, computed when they are asked for. */
const known = new Map();
function aucs() {
  const key = `${values.stage} ${values.units}`;
  if (!known.has(key)) {
    const of = (members) =>
      ensemble.aucOf(ensemble.scores(stages[values.stage], members, values.units), normal);
    known.set(key, new Map(ALL.map((members) => [members.join(""), of(members)])));
  }
  return known.get(key);
}
const aucOf = (members) => aucs().get(members.join(""));

// --- controls -----------------------------------------------------------------------

const chosenStage = dom.choice({
  label: "Networks",
  options: names.map((name) => [name, name]),
  value: values.stage,
  changed: (name) => change({ stage: name }),
});
const units = dom.choice({
  label: "Distances",
  options: [
    ["own", "each in its own unit"],
    ["plain", "as they are"],
    ["tenfold", "as they are, seed 0's tenfold"],
  ],
  value: values.units,
  changed: (way) => change({ units: way }),
});
const members = SEEDS.map((seed) => {
  const input = html("input", {
    type: "checkbox",
    id: dom.freshId(),
    class: "demo-member",
    change: () => toggle(seed, input.checked),
  });
  const auc = html("span", { class: "demo-value" });
  const label = html("label", { for: input.id }, `seed ${seed}: `, auc);
  return { input, auc, element: html("div", { class: "demo-check" }, input, label) };
});

function toggle(seed, wanted) {
  const next = SEEDS.filter((k) => (k === seed ? wanted : values.members.includes(k)));
  if (next.length) return change({ members: next });
  members[seed].input.checked = true;
  return spoken.say("One member has to stay.");
}

const jumps = html(
  "div",
  { class: "demo-buttons" },
  dom.button("All five", () => change({ members: [...SEEDS] })),
  dom.button("Another seed alone", () =>
    change({ members: [values.members.length > 1 ? 0 : (values.members[0] + 1) % SEEDS.length] }),
  ),
);

// --- pictures -----------------------------------------------------------------------

const scoresPicture = picture(
  "Histograms of the scores over the normal images' mean: normal images above the axis, anomalies below it.",
);
const dotsPicture = picture("AUC of every ensemble, by the number of its members; the chosen one is marked.");
const scoresBox = html("div", { class: "demo-wide" }, scoresPicture);
const dotsBox = html("div", {}, dotsPicture);

function drawScores(width) {
  const [left, right, top, middle, bottom] = [4, width - 4, 8, 72, 136];
  const x = scale([LOW, HIGH], [left, right], true);
  const found = ensemble.scores(stages[values.stage], values.members, values.units);
  const unit = ensemble.mean(found.subarray(0, normal));
  const inside = (v) => Math.min(Math.max(v / unit, LOW * 1.001), HIGH);
  const parts = [];
  const groups = { normal: found.subarray(0, normal), anomalous: found.subarray(normal) };
  for (const [kind, group] of Object.entries(groups)) {
    const heights = histogram(group.map(inside).sort(), EDGES);
    const tall = (middle - top) / Math.max(...heights);
    const sign = kind === "normal" ? -1 : 1;
    const bars = heights.map((share, k) => {
      if (!share) return "";
      const [a, b] = [EDGES[k], EDGES[k + 1]].map((e) => x(e).toFixed(1));
      return `M${a} ${middle}V${(middle + sign * share * tall).toFixed(1)}H${b}V${middle}Z`;
    });
    parts.push(svg("path", { class: kind, d: bars.join("") }));
  }
  parts.push(
    svg("path", { class: "axis", d: `M${left} ${middle}H${right}` }),
    svg("text", { x: right, y: top + 10, "text-anchor": "end" }, "normal"),
    svg("text", { x: left, y: bottom - 4 }, "anomalies"),
  );
  for (const tick of decades(LOW, HIGH)) {
    parts.push(svg("text", { x: x(tick), y: bottom + 14, "text-anchor": "middle" }, String(tick)));
  }
  compose(scoresPicture, width, bottom + 18, parts);
}

function drawDots(width) {
  const height = 220;
  const [left, right, top, bottom] = [34, width - 12, 22, height - 34];
  const sizes = SEEDS.map((k) => k + 1);
  const found = aucs();
  const least = 10 * Math.floor(10 * Math.min(...found.values()));
  const x = scale([0.6, SEEDS.length + 0.4], [left, right]);
  const y = scale([least, 100], [bottom, top]);
  const dot = (members, radius) => {
    const [u, v] = [x(members.length), y(100 * aucOf(members))].map((p) => p.toFixed(1));
    return `M${u} ${v}m-${radius} 0a${radius} ${radius} 0 1 0 ${2 * radius} 0a${radius} ${radius} 0 1 0 -${2 * radius} 0z`;
  };
  const means = sizes.map((size) => ensemble.mean(ALL.filter((m) => m.length === size).map(aucOf)));
  const yticks = Array.from({ length: (100 - least) / 10 + 1 }, (_, k) => least + 10 * k);
  compose(dotsPicture, width, height, [
    ...frame({
      x, y, left, right, top, bottom, xticks: sizes, yticks,
      xlabel: "members", ylabel: "AUC in %",
    }),
    svg("path", { class: "chance", d: path(sizes.map(x), means.map((share) => y(100 * share))) }),
    svg("path", { class: "dots", d: ALL.map((m) => dot(m, 3)).join("") }),
    svg("path", { class: "dots chosen", d: dot(values.members, 6) }),
  ]);
}

// --- numbers ------------------------------------------------------------------------

const facts = dom.factList();

function tell() {
  const own = values.members.map((k) => aucOf([k]));
  const n = own.length;
  const auc = aucOf(values.members);
  const std = n > 1 ? `${(100 * Math.sqrt(ensemble.variance(own))).toFixed(1)} points` : "–";
  const left = ensemble.varianceLeft(stages[values.stage], values.members, normal);
  facts.show([
    ["AUC of the ensemble", percent(auc)],
    ["Mean AUC of its members", percent(ensemble.mean(own))],
    ["Their standard deviation", std],
    ["Best of the five, picked by labels", percent(Math.max(...SEEDS.map((k) => aucOf([k]))))],
    ["Variance left, normal images", percent(left)],
  ]);
  members.forEach(({ auc: shown }, k) => dom.setText(shown, percent(aucOf([k]))));
  const who = n === 1 ? `Seed ${values.members[0]} alone` : `${n} members`;
  spoken.say(`${who}: AUC ${percent(auc)}, mean of the members ${percent(ensemble.mean(own))}.`);
  box.dataset.auc = auc;
}

// --- together -----------------------------------------------------------------------

const widths = {};
function measure() {
  widths.scores = scoresBox.clientWidth;
  widths.dots = dotsBox.clientWidth;
}

function draw() {
  drawScores(widths.scores);
  drawDots(widths.dots);
  tell();
}
const drawSoon = dom.everyFrame(draw);

function show() {
  chosenStage.set(values.stage);
  units.set(values.units);
  members.forEach(({ input }, k) => (input.checked = values.members.includes(k)));
}

function change(next) {
  Object.assign(values, next);
  show();
  keep(values);
  drawSoon();
}

const titled = (text, part) => html("figure", { class: "demo-figure" }, part, html("figcaption", {}, text));
stage.append(
  html("div", { class: "demo-controls" }, chosenStage.element, units.element),
  html(
    "div",
    { class: "demo-members", role: "group", "aria-label": "Members, each with its own AUC" },
    ...members.map(({ element }) => element),
  ),
  jumps,
  titled("Scores of the test images, over the normal images' mean", scoresBox),
  html(
    "div",
    { class: "demo-pair demo-apart" },
    titled("All 31 ensembles of the five; dashed: their mean", dotsBox),
    facts.element,
  ),
  spoken.element,
);
show();
dom.onWidth(stage, () => {
  measure();
  draw();
});
measure();
draw();
dom.ready(box, members[0].input);
