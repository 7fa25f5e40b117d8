// Ensembles of chapter 7's networks: mean distances, their AUC, and how they scatter.
import { parse } from "../lib/safetensors.mjs";
import { auc } from "../roc/rates.mjs";

/**
 * Read the file (bytes): {normal, stages}; of each stage by name `units` and `d`, a list
 * for each seed of the images' distances in that unit. The first `normal` are normal.
 */
export function read(bytes) {
  const { tensors, metadata } = parse(bytes);
  const stages = metadata.stages.map(({ name, unit, units }) => {
    const { shape, values } = tensors[name];
    const n = shape[1];
    const d = units.map((_, k) => Float64Array.from(values.subarray(k * n, (k + 1) * n), (v) => v * unit));
    return [name, { units, d }];
  });
  return { normal: metadata.normal, stages: Object.fromEntries(stages) };
}

/** What each distance counts in the mean: of units, [own, as they are, the first tenfold]. */
export const WAYS = {
  own: () => 1,
  plain: (unit) => unit,
  tenfold: (unit, k) => (k === 0 ? 10 * unit : unit),
};

/** Mean distances of the images by some members of a stage. */
export function scores({ d, units }, members, way) {
  const sums = new Float64Array(d[0].length);
  for (const k of members) {
    const weight = WAYS[way](units[k], k) / members.length;
    for (let i = 0; i < sums.length; i++) sums[i] += weight * d[k][i];
  }
  return sums;
}

/** AUC of scores, the first `normal` of which are of normal images. */
export const aucOf = (values, normal) =>
  auc(Float64Array.from(values.subarray(0, normal)).sort(), Float64Array.from(values.subarray(normal)).sort());

/** All ensembles of n members, by their number: lists of members. */
export function ensembles(n) {
  const all = [];
  for (let mask = 1; mask < 2 ** n; mask++) {
    all.push(Array.from({ length: n }, (_, k) => k).filter((k) => mask & (1 << k)));
  }
  return all.sort((a, b) => a.length - b.length);
}

export const mean = (values) => values.reduce((sum, v) => sum + v, 0) / values.length;

/** Variance with n − 1. */
export function variance(values) {
  const m = mean(values);
  return values.reduce((sum, v) => sum + (v - m) ** 2, 0) / (values.length - 1);
}

/** Variance of the members' mean over the normal images, over the members' own mean one. */
export function varianceLeft(stage, members, normal) {
  const own = members.map((k) => variance(stage.d[k].subarray(0, normal)));
  return variance(scores(stage, members, "own").subarray(0, normal)) / mean(own);
}

/** All that a setting says, for tests in Python. */
export function summary(bytes, name, members, way) {
  const { normal, stages } = read(bytes);
  const stage = stages[name];
  return {
    auc: aucOf(scores(stage, members, way), normal),
    varianceLeft: varianceLeft(stage, members, normal),
  };
}
