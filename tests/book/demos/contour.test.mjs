import assert from "node:assert/strict";
import { test } from "node:test";
import { cut, trace } from "../../../book/demos/lib/contour.mjs";

const axis = Float64Array.from({ length: 41 }, (_, k) => 2.5 * k);
const on = (f) => Float64Array.from({ length: axis.length ** 2 }, (_, k) =>
  f(axis[k % axis.length], axis[Math.floor(k / axis.length)]));

/** Area of the rectangles and polygons of a region, by the shoelace formula. */
function areaOf({ whole, shapes }) {
  let sum = 0;
  for (let k = 0; k < whole.length; k += 4) {
    sum += (whole[k + 2] - whole[k]) * (whole[k + 3] - whole[k + 1]);
  }
  for (let k = 0; k < shapes.length; k += 2 * shapes[k] + 1) {
    const n = shapes[k];
    const at = (c) => [shapes[k + 1 + 2 * (c % n)], shapes[k + 2 + 2 * (c % n)]];
    let twice = 0;
    for (let c = 0; c < n; c++) {
      const [[x, y], [u, v]] = [at(c), at(c + 1)];
      twice += x * v - u * y;
    }
    assert.ok(twice >= 0, "corners turn the same way");
    sum += twice / 2;
  }
  return sum;
}

test("a half plane is cut where it ends", () => {
  const found = cut(on((x, y) => x + y - 61), axis, axis, 20);
  assert.ok(Math.abs(areaOf(found) - 81 ** 2 / 2) < 1e-9);
  for (let k = 0; k < found.lines.length; k += 2) {
    assert.ok(Math.abs(found.lines[k] + found.lines[k + 1] - 81) < 1e-9);
  }
});

test("a disc has its area and its circumference, and its outside the rest", () => {
  const square = on((x, y) => (x - 50) ** 2 + (y - 50) ** 2);
  const found = cut(square, axis, axis, 900);
  let length = 0;
  for (let k = 0; k < found.lines.length; k += 4) {
    const [x, y, u, v] = found.lines.slice(k, k + 4);
    length += Math.hypot(x - u, y - v);
  }
  assert.ok(Math.abs(areaOf(found) / (Math.PI * 900) - 1) < 0.005);
  assert.ok(Math.abs(length / (2 * Math.PI * 30) - 1) < 0.005);
  const rest = cut(square.map((v) => -v), axis, axis, -900);
  assert.ok(Math.abs(areaOf(found) + areaOf(rest) - 100 ** 2) < 1e-6);
});

test("paths get every cell, shape and line", () => {
  const calls = [];
  const note = (name) => (...given) => calls.push([name, ...given]);
  const area = { rect: note("rect"), moveTo: note("area"), lineTo: note("to"), closePath: note("close") };
  const line = { moveTo: note("line"), lineTo: note("end") };
  trace({ whole: [0, 1, 4, 3], shapes: [3, 0, 0, 5, 0, 5, 5], lines: [1, 2, 3, 4] }, { area, line });
  assert.deepEqual(calls, [
    ["rect", 0, 1, 4, 2],
    ["area", 0, 0], ["to", 5, 0], ["to", 5, 5], ["close"],
    ["line", 1, 2], ["end", 3, 4],
  ]);
});
