import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import * as ensemble from "../../../book/demos/seeds/ensemble.mjs";

const bytes = readFileSync(new URL("../../../book/demos/data/seeds.safetensors", import.meta.url));
const { normal, stages } = ensemble.read(bytes);
const near = (a, b, within = 1e-9) => assert.ok(Math.abs(a - b) <= within, `${a} is not ${b}`);

test("the file has three stages of five networks", () => {
  assert.deepEqual(Object.keys(stages), ["untrained", "pretrained", "trained"]);
  for (const { d, units } of Object.values(stages)) {
    assert.deepEqual(d.map((row) => row.length), [3334, 3334, 3334, 3334, 3334]);
    assert.ok(units.every((unit) => unit > 0));
  }
});

test("of five networks there are 31 ensembles", () => {
  const all = ensemble.ensembles(5);
  assert.equal(new Set(all.map(String)).size, 31);
  assert.deepEqual([1, 2, 3, 4, 5].map((n) => all.filter((m) => m.length === n).length), [5, 10, 10, 5, 1]);
  assert.deepEqual(all.at(-1), [0, 1, 2, 3, 4]);
});

test("one member alone is as good in every unit", () => {
  const own = Object.keys(ensemble.WAYS).map((way) =>
    ensemble.aucOf(ensemble.scores(stages.trained, [0], way), normal));
  near(own[0], own[1], 1e-6);
  near(own[0], own[2], 1e-6);
});

test("tenfold distances outweigh the others, but not in units of their own", () => {
  const stage = stages.trained;
  const all = [0, 1, 2, 3, 4];
  const of = (members, way) => ensemble.aucOf(ensemble.scores(stage, members, way), normal);
  const apart = (way) => Math.abs(of(all, way) - of([0], "own"));
  assert.ok(apart("tenfold") < apart("own"));
});

test("the mean of some has less variance than they have, as chapter 7 computes it", () => {
  const stage = { units: [1, 1], d: [Float64Array.of(1, 2, 3, 0), Float64Array.of(3, 2, 1, 0)] };
  near(ensemble.varianceLeft(stage, [0], 3), 1);
  near(ensemble.varianceLeft(stage, [0, 1], 3), 0);
  const left = ensemble.varianceLeft(stages.trained, [0, 1, 2, 3, 4], normal);
  assert.ok(left > 0.3 && left < 0.9);
  near(ensemble.variance([1, 2, 4]), 7 / 3);
});
