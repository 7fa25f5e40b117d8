import assert from "node:assert/strict";
import { test } from "node:test";
import { decode } from "../../../book/demos/lib/steps.mjs";
import * as rates from "../../../book/demos/roc/rates.mjs";

const normal = Float64Array.of(1, 2, 2, 3);
const anomalous = Float64Array.of(2, 3, 4);
const near = (a, b) => assert.ok(Math.abs(a - b) < 1e-12, `${a} is not ${b}`);

test("differences are added up", () => {
  assert.deepEqual([...decode([3, 0, 2], 0.5)], [1.5, 1.5, 2.5]);
});

test("a score at the threshold is not flagged", () => {
  near(rates.flagged(normal, 2), 1 / 4);
  near(rates.flagged(normal, 1.99), 3 / 4);
  near(rates.flagged(normal, 0), 1);
  near(rates.flagged(normal, 3), 0);
});

test("the AUC counts pairs, ties one half", () => {
  // 2: above 1, ties with two; 3: above three, ties with one; 4: above all.
  near(rates.auc(normal, anomalous), (2 + 3.5 + 4) / 12);
  near(rates.auc(anomalous, normal), 1 - 9.5 / 12);
});

test("the curve goes from nothing to all, and its area is the AUC", () => {
  const { t, tpr, fpr } = rates.curve(normal, anomalous);
  assert.deepEqual(t, [4, 3, 2, 1, -Infinity]);
  assert.deepEqual([tpr[0], fpr[0], tpr.at(-1), fpr.at(-1)], [0, 0, 1, 1]);
  let area = 0;
  for (let k = 1; k < t.length; k++) area += ((fpr[k] - fpr[k - 1]) * (tpr[k] + tpr[k - 1])) / 2;
  near(area, rates.auc(normal, anomalous));
});

test("Bayes' rule", () => {
  near(rates.precision(0.5, 0.8, 0.2), 0.8);
  near(rates.precision(0.001, 0.5, 0.01), 0.0005 / (0.0005 + 0.00999));
  assert.ok(Number.isNaN(rates.precision(0.5, 0, 0)));
});

test("a perfect detector has an average precision of 1, at any base rate", () => {
  const perfect = rates.curve(Float64Array.of(1, 2), Float64Array.of(3, 4));
  for (const pi of [1e-4, 0.3, 0.99]) near(rates.averagePrecision(perfect, pi), 1);
});

test("no other threshold is cheaper", () => {
  const curve = rates.curve(normal, anomalous);
  for (const pi of [0.01, 0.3, 0.9]) {
    for (const ratio of [1, 5, 100]) {
      const costs = curve.t.map((_, k) => rates.cost(pi, ratio, curve.tpr[k], curve.fpr[k]));
      near(costs[rates.cheapest(curve, pi, ratio)], Math.min(...costs));
    }
  }
});

test("a threshold for a rate keeps it, and the next lower one does not", () => {
  const scores = Float64Array.from({ length: 50 }, (_, k) => k);
  for (const q of [0.02, 0.1, 0.35]) {
    const t = rates.thresholdFor(scores, q);
    assert.ok(rates.flagged(scores, t) <= q);
    assert.ok(rates.flagged(scores, t - 1) > q);
  }
});

test("the four cells are all samples, and the bins all of a group", () => {
  const { found, missed, false: wrong, passed } = rates.confusion(0.2, 0.7, 0.1, 1000);
  near(found + missed, 200);
  near(wrong + passed, 800);
  near(wrong, 80);
  const bins = rates.histogram(normal, [0, 1.5, 2.5, 3.5]);
  assert.deepEqual(bins, [0.25, 0.5, 0.25]);
});
