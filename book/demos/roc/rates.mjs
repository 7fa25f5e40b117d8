// What a threshold does to two groups of scores, which are sorted in ascending order.

/** How many of the sorted values are at most t. */
export function atMost(sorted, t) {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] <= t) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The share of a group that a threshold flags: scores above it. */
export const flagged = (sorted, t) => (sorted.length - atMost(sorted, t)) / sorted.length;

/** The share of pairs in the right order; ties count one half. */
export function auc(normal, anomalous) {
  let sum = 0;
  let below = 0;
  let upto = 0;
  for (const score of anomalous) {
    while (below < normal.length && normal[below] < score) below++;
    while (upto < normal.length && normal[upto] <= score) upto++;
    sum += below + upto;
  }
  return sum / (2 * normal.length * anomalous.length);
}

/**
 * Both rates at every threshold that makes a difference, from "flag nothing" to "flag
 * all": thresholds fall, rates rise. The last threshold is below all scores.
 */
export function curve(normal, anomalous) {
  const values = Float64Array.from([...normal, ...anomalous]).sort();
  const t = [];
  for (let k = values.length - 1; k >= 0; k--) {
    if (t.length === 0 || values[k] !== t[t.length - 1]) t.push(values[k]);
  }
  t.push(-Infinity);
  return {
    t,
    fpr: t.map((threshold) => flagged(normal, threshold)),
    tpr: t.map((threshold) => flagged(anomalous, threshold)),
  };
}

/** Of the flagged, the share that are anomalies, by Bayes' rule; NaN if none is flagged. */
export const precision = (pi, tpr, fpr) => (pi * tpr) / (pi * tpr + (1 - pi) * fpr);

/** Average precision at a base rate: the mean of the precision over the found anomalies. */
export function averagePrecision({ tpr, fpr }, pi) {
  let sum = 0;
  for (let k = 1; k < tpr.length; k++) {
    if (tpr[k] > tpr[k - 1]) sum += (tpr[k] - tpr[k - 1]) * precision(pi, tpr[k], fpr[k]);
  }
  return sum;
}

/** Expected cost of a sample in false alarms, if a miss costs as much as `ratio` of them. */
export const cost = (pi, ratio, tpr, fpr) => pi * (1 - tpr) * ratio + (1 - pi) * fpr;

/** The place of the curve with the lowest cost; of equal ones the highest threshold. */
export function cheapest({ tpr, fpr }, pi, ratio) {
  let best = 0;
  for (let k = 1; k < tpr.length; k++) {
    if (cost(pi, ratio, tpr[k], fpr[k]) < cost(pi, ratio, tpr[best], fpr[best]) - 1e-12) best = k;
  }
  return best;
}

/** The lowest threshold that flags at most a share q of the normal scores. */
export function thresholdFor(normal, q) {
  const allowed = Math.floor(q * normal.length + 1e-9);
  return normal[normal.length - 1 - allowed];
}

/** Expected numbers in a sample of `size`. */
export function confusion(pi, tpr, fpr, size) {
  return {
    found: size * pi * tpr,
    missed: size * pi * (1 - tpr),
    false: size * (1 - pi) * fpr,
    passed: size * (1 - pi) * (1 - fpr),
  };
}

/** Shares of a group in bins whose edges ascend. */
export function histogram(sorted, edges) {
  const counts = edges.map((edge) => atMost(sorted, edge));
  return edges.slice(1).map((_, k) => (counts[k + 1] - counts[k]) / sorted.length);
}
