import assert from "node:assert/strict";
import { test } from "node:test";
import { area, MOST, ring } from "../../../book/demos/svdd/points.mjs";
import {
  dualityGap, fit, gaussian, inner, margins, matrix, placeOf, solve,
} from "../../../book/demos/svdd/solver.mjs";

const near = (a, b, within = 1e-9) => assert.ok(Math.abs(a - b) <= within, `${a} is not ${b}`);

/** Random points, the same in every run. */
function cloud(n, seed) {
  let state = seed;
  const next = () => (state = (state * 48271) % 2147483647) / 2147483647;
  return Array.from({ length: n }, () => [next() + next() - 1, next() * 2 - 1]);
}

test("two points: the ball about their middle", () => {
  const { alpha, r2, solved } = fit([[-1, 0], [3, 0]], 0.5, inner);
  assert.ok(solved);
  near(alpha[0], 0.5);
  near(r2, 4);
});

test("ν = 1: the mean of all points", () => {
  const { alpha, solved } = fit(cloud(9, 3), 1, gaussian(2));
  assert.ok(solved);
  for (const weight of alpha) near(weight, 1 / 9);
});

test("no ball costs less: the duality gap is zero", () => {
  for (const n of [2, 7, 60]) {
    for (const nu of [0.02, 0.1, 0.5, 1]) {
      for (const kernel of [inner, gaussian(0.05), gaussian(3), gaussian(50)]) {
        const found = fit(cloud(n, 11), nu, kernel);
        assert.ok(found.solved, `${n} ${nu}`);
        near(dualityGap(found, found.K), 0, 1e-8);
        near(found.alpha.reduce((a, b) => a + b), 1);
        assert.ok(found.alpha.every((w) => w >= 0 && w <= found.C + 1e-12));
      }
    }
  }
});

test("the gap of other weights is not", () => {
  const points = cloud(20, 5);
  const K = matrix(points, gaussian(3));
  const even = solve(K, 20, 0.2, 1e-10, 0); // no step is taken
  assert.equal(even.solved, false);
  assert.ok(dualityGap(even, K) > 1e-3);
});

test("outliers ≤ νn ≤ support vectors", () => {
  const found = fit(cloud(60, 8), 0.23, gaussian(4));
  const places = Array.from(found.alpha, (_, k) => placeOf(found, k));
  const outside = places.filter((p) => p === "outside").length;
  const support = found.alpha.filter((w) => w > 1e-9).length;
  assert.ok(outside <= 0.23 * 60 && 0.23 * 60 <= support, `${outside} ${support}`);
  assert.ok(outside > 0);
});

test("equal points do no harm", () => {
  const found = fit([[0, 0], [0, 0], [1, 1], [1, 1], [1, 1]], 0.4, gaussian(1));
  assert.ok(found.solved);
  near(dualityGap(found, found.K), 0, 1e-9);
});

test("the grid has the scores of the kernel", () => {
  const points = cloud(12, 21);
  for (const [gamma, kernel] of [[null, inner], [2, gaussian(2)]]) {
    const found = fit(points, 0.3, kernel);
    const grid = margins(found, points, gamma, [-0.3, 0.8], [0.1, 0.5, 0.9]);
    const z = [0.8, 0.5];
    let score = kernel(z, z) + found.a2;
    points.forEach((p, k) => (score -= 2 * found.alpha[k] * kernel(z, p)));
    near(grid[3], score - found.r2);
  }
});

test("points survive the way through an address", () => {
  const parse = area.parse(MOST);
  for (const points of [cloud(60, 2).map(area.snap), ring()]) {
    assert.deepEqual(parse(area.write(points)), points);
  }
  for (const text of ["", "1-2", "1-2_x", "1-2_3-4,5-6", Array(61).fill("1-2").join("_")]) {
    assert.equal(parse(text), null, text);
  }
  assert.deepEqual(parse("0-0_999-999"), [area.low, area.high]);
  assert.deepEqual(area.parse(MOST, 0)(""), []);
});
