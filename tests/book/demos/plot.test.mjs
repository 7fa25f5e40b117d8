import assert from "node:assert/strict";
import { test } from "node:test";
import { decades, path, scale } from "../../../book/demos/lib/plot.mjs";

test("a scale leads back", () => {
  for (const log of [false, true]) {
    const x = scale([0.5, 8], [20, 100], log);
    assert.ok(Math.abs(x(0.5) - 20) < 1e-9 && Math.abs(x(8) - 100) < 1e-9);
    assert.ok(Math.abs(x.back(x(3)) - 3) < 1e-9);
  }
  assert.ok(Math.abs(scale([0.5, 8], [20, 100], true)(2) - 60) < 1e-9);
});

test("ticks lie within their limits", () => {
  assert.deepEqual(decades(0.03, 4000), [0.1, 1, 10, 100, 1000]);
  assert.deepEqual(decades(0.4, 6), [0.5, 1, 2, 5]);
});

test("a path has gaps where there is nothing", () => {
  assert.equal(path([0, 1, 2, 3], [0, NaN, 2, 3]), "M0.0 0.0M2.0 2.0L3.0 3.0");
});
