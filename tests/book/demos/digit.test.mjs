import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import * as network from "../../../book/demos/digit/network.mjs";
import { parse as parseFile } from "../../../book/demos/lib/safetensors.mjs";
import { GRID, parse, PRESETS, raster, write } from "../../../book/demos/digit/strokes.mjs";

const bytes = readFileSync(new URL("../../../book/demos/data/digits/3.safetensors", import.meta.url));
const { score, threshold } = network.detector(bytes);
const near = (a, b, within = 1e-9) => assert.ok(Math.abs(a - b) <= within, `${a} is not ${b}`);
const side = network.SIDE;

/** Middle of the ink, in pixels, and the ink itself. */
function center(image) {
  let [mass, x, y] = [0, 0, 0];
  image.forEach((v, k) => {
    mass += v;
    x += v * ((k % side) + 0.5);
    y += v * (Math.floor(k / side) + 0.5);
  });
  return [x / mass, y / mass, mass];
}

test("the file has the 7,272 weights of the network", () => {
  const { tensors, metadata } = parseFile(bytes);
  const weights = Object.entries(tensors).filter(([name]) => name.endsWith(".weight"));
  const count = weights.reduce((sum, [, { values }]) => sum + values.length, 0);
  assert.equal(count, 7272);
  assert.equal(metadata.parameters.network, "mnist_LeNet");
  assert.ok(threshold > 0 && threshold === metadata.threshold);
});

test("contrast is normalized, brightness does not count", () => {
  const image = Float64Array.from({ length: side * side }, (_, k) => (k * 37) % 251);
  const flat = network.normalizeContrast(image);
  near(flat.reduce((a, b) => a + b), 0, 1e-8);
  near(flat.reduce((a, b) => a + Math.abs(b), 0) / flat.length, 1);
  near(score(image), score(image.map((v) => 0.3 * v + 9)), 1e-9 * score(image));
  assert.ok(network.normalizeContrast(new Float64Array(784).fill(7)).every((v) => v === 0));
});

test("a drawing is put where MNIST's digits are, whatever its size and place", () => {
  const [three] = PRESETS.three;
  const small = [three.map(([x, y]) => [Math.round(x / 2 + 30), Math.round(y / 2 + 400)])];
  const [a, b] = [[three], small].map((drawing) => raster(drawing, 3, true));
  for (const image of [a, b]) {
    const [x, y] = center(image);
    near(x, side / 2, 0.05);
    near(y, side / 2, 0.05);
    const rows = [...Array(side).keys()].filter((r) =>
      image.subarray(r * side, (r + 1) * side).some((v) => v > 127),
    );
    near(rows.at(-1) - rows[0] + 1, 20, 1);
  }
  near(score(b) / score(a), 1, 0.1); // whole numbers of the grid are rounded
  assert.ok(center(raster(small, 3, false))[0] < 10);
});

test("a wider pen leaves more ink, a dot is round, nothing is black", () => {
  const inks = [1, 2, 3, 4].map((pen) => center(raster(PRESETS.three, pen, true))[2]);
  assert.deepEqual([...inks].sort((a, b) => a - b), inks);
  const dot = raster([[[500, 500]]], 4, true);
  near(center(dot)[2] / 255, Math.PI * 4, 0.8);
  assert.ok(raster([], 3, true).every((v) => v === 0));
});

test("a three is normal, a mirrored one and a fish are not", () => {
  const of = (name) => score(raster(PRESETS[name], 2.8, true));
  assert.ok(of("three") < threshold);
  assert.ok(of("mirrored") > threshold && of("fish") > threshold);
  assert.ok(of("hole") > of("three"));
});

test("the map says how much the score falls under a patch", () => {
  const image = raster(PRESETS.three, 2.8, true);
  const map = [...network.occlusion(image, score)];
  assert.equal(map.length, network.PATCHES ** 2);
  assert.deepEqual(map.map(([k]) => k), [...map.keys()]);
  const [place, fall] = map.reduce((a, b) => (Math.abs(b[1]) > Math.abs(a[1]) ? b : a));
  const [r, c] = [Math.floor(place / network.PATCHES), place % network.PATCHES];
  const covered = image.map((v, k) => {
    const [i, j] = [Math.floor(k / side) - 2 * r, (k % side) - 2 * c];
    return i >= -1 && i <= 3 && j >= -1 && j <= 3 ? 0 : v;
  });
  near(score(image) - score(covered), fall);
  assert.ok(fall !== 0);
  assert.equal(map[0][1], 0); // no ink in the corner
});

test("p-values count the score itself", () => {
  near(network.pValue([1, 2, 3], 2), 3 / 4);
  near(network.pValue([1, 2, 3], 9), 1 / 4);
  near(network.pValue([1, 2, 3], 0), 1);
});

test("drawings survive the way through an address", () => {
  for (const drawing of [...Object.values(PRESETS), [], [[[0, GRID]], [[7, 70], [700, 999]]]]) {
    assert.deepEqual(parse(write(drawing)), drawing);
  }
  for (const text of ["12345", "x", "123456--123456", "123456".repeat(401)]) {
    assert.equal(parse(text), null, text);
  }
});
