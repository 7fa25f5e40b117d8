import assert from "node:assert/strict";
import { test } from "node:test";
import * as network from "../../../book/demos/playground/network.mjs";
import { ANOMALIES, area, cloud } from "../../../book/demos/playground/points.mjs";

const near = (a, b, within = 1e-9) => assert.ok(Math.abs(a - b) <= within, `${a} is not ${b}`);
const x = Float64Array.from(cloud().flat());

test("weights follow the seed, and have Kaiming's spread", () => {
  const [a, b, other] = [3, 3, 4].map((seed) => network.layersOf(seed, true));
  assert.deepEqual(a, b);
  assert.notDeepEqual(a[0].w, other[0].w);
  assert.ok(a.every((layer) => layer.b.every((v) => v === 0)));
  const { w } = network.layersOf(0, false)[1];
  const square = w.reduce((sum, v) => sum + v * v, 0) / w.length;
  near(square / (2 / 32), 1, 0.15);
});

test("without bias terms the origin stays, and the map is homogeneous", () => {
  const layers = network.layersOf(1, false);
  const phi = (...point) => network.forward(layers, "leaky", Float64Array.from(point)).at(-1);
  assert.deepEqual([...phi(0, 0)], [0, 0]);
  const [one, two] = [phi(0.3, -0.7), phi(0.6, -1.4)];
  for (const k of [0, 1]) near(two[k], 2 * one[k]);
});

test("no coordinate of the center is near zero", () => {
  assert.deepEqual([...network.initialCenter(Float64Array.of(0.05, -2, 0.01, -4))], [0.1, -3]);
  assert.deepEqual([...network.initialCenter(Float64Array.of(-0.05, 0, -0.01, 0))], [-0.1, 0.1]);
});

test("the radius is a quantile: at most νn outside, at least νn outside or on it", () => {
  const d2 = Float64Array.from({ length: 37 }, (_, k) => (k * 17) % 37);
  for (const nu of [0.02, 0.1, 0.3, 1]) {
    const r2 = network.bestSquaredRadius(d2, nu);
    assert.ok(d2.filter((d) => d > r2).length <= nu * 37);
    assert.ok(d2.filter((d) => d >= r2).length >= nu * 37);
  }
});

test("the relative spread of the chapter's example", () => {
  const z = Float64Array.of(1, 0, -1, 0, 0, 2, 0, -2);
  near(network.relativeSpread(z, [0, 5]), Math.sqrt(2.5) / 5);
  near(network.relativeSpread(new Float64Array(8).fill(3), [1, 0]), 0);
});

test("a step goes down", () => {
  for (const activation of ["leaky", "sigmoid"]) {
    const layers = network.layersOf(2, true);
    const c = network.initialCenter(network.forward(layers, activation, x).at(-1));
    const how = { activation, objective: "one-class", freeCenter: false, decay: 0, rate: 1e-3 };
    const { step } = network.training(layers, c, how);
    const losses = Array.from({ length: 30 }, () => step(x));
    assert.ok(losses.at(-1) < 0.9 * losses[0], activation);
  }
});

test("normal points and anomalies lie in the plane, the normal ones on one side of the origin", () => {
  for (const point of [...cloud(), ...ANOMALIES]) assert.deepEqual(area.snap(point), point);
  assert.ok(cloud().every(([a, b]) => a + b > 0.5));
});
