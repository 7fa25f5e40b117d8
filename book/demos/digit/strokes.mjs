// A drawing as strokes, and the image of 28 × 28 pixels that it makes.
//
// A stroke is a list of points (x, y), whole numbers from 0 to 999 from the upper left
// corner of the canvas. The image is computed, not painted: in every browser, and in
// Python, it is the same.
import { SIDE } from "./network.mjs";

export const GRID = 999;
const BOX = 20; // pixels that MNIST's digits are fitted into
const MOST = 400; // points of a drawing

/** Squared distance of a point from a segment. */
function apart(x, y, [ax, ay], [bx, by]) {
  const [dx, dy] = [bx - ax, by - ay];
  const length = dx * dx + dy * dy;
  const t = length ? Math.min(Math.max(((x - ax) * dx + (y - ay) * dy) / length, 0), 1) : 0;
  return (x - ax - t * dx) ** 2 + (y - ay - t * dy) ** 2;
}

/** Draw strokes, in pixels, with a round pen: gray values from 0 to 255. */
function paint(strokes, pen) {
  const image = new Uint8Array(SIDE * SIDE);
  for (let r = 0; r < SIDE; r++) {
    for (let c = 0; c < SIDE; c++) {
      let nearest = Infinity;
      for (const points of strokes) {
        for (let k = 0; k < points.length; k++) {
          const next = points[Math.min(k + 1, points.length - 1)];
          nearest = Math.min(nearest, apart(c + 0.5, r + 0.5, points[k], next));
        }
      }
      const covered = pen / 2 + 0.5 - Math.sqrt(nearest);
      image[r * SIDE + c] = Math.round(255 * Math.min(Math.max(covered, 0), 1));
    }
  }
  return image;
}

const shifted = (strokes, dx, dy) => strokes.map((s) => s.map(([x, y]) => [x + dx, y + dy]));

/**
 * Make an image of strokes.
 *
 * `pen` is the pen's width in pixels. With `fit` the drawing is treated as MNIST's were:
 * its longer side becomes 20 pixels, ink included, and its center of mass the middle.
 */
export function raster(strokes, pen, fit) {
  const unit = SIDE / (GRID + 1);
  let drawn = strokes.map((s) => s.map(([x, y]) => [x * unit, y * unit]));
  const all = drawn.flat();
  if (!all.length || !fit) return paint(drawn, pen);
  const range = [0, 1].map((axis) => {
    const values = all.map((point) => point[axis]);
    return [Math.min(...values), Math.max(...values)];
  });
  const longer = Math.max(...range.map(([low, high]) => high - low));
  const scale = longer ? (BOX - pen) / longer : 1;
  const middle = range.map(([low, high]) => (low + high) / 2);
  drawn = drawn.map((s) => s.map((p) => p.map((v, axis) => (v - middle[axis]) * scale + SIDE / 2)));
  const image = paint(drawn, pen);
  let [mass, across, down] = [0, 0, 0];
  image.forEach((v, k) => {
    mass += v;
    across += v * ((k % SIDE) + 0.5);
    down += v * (Math.floor(k / SIDE) + 0.5);
  });
  return paint(shifted(drawn, SIDE / 2 - across / mass, SIDE / 2 - down / mass), pen);
}

/** Write strokes as digits, three for each coordinate, strokes apart by "-". */
export const write = (strokes) =>
  strokes.map((s) => s.flat().map((v) => String(v).padStart(3, "0")).join("")).join("-");

/** Read what `write` wrote; null if it is something else. */
export function parse(text) {
  if (text === "") return [];
  if (!/^(\d{6})+(-(\d{6})+)*$/.test(text)) return null;
  const strokes = text
    .split("-")
    .map((s) => s.match(/\d{6}/g).map((pair) => [Number(pair.slice(0, 3)), Number(pair.slice(3))]));
  return strokes.flat().length <= MOST ? strokes : null;
}

/** Whether a drawing has room for another point. */
export const hasRoom = (strokes) => strokes.flat().length < MOST;

/** The quick start's own drawings, from its canvas of 112 pixels, and relatives. */
const scaled = (points) => points.map((p) => p.map((v) => Math.round((v * GRID) / 112)));
const THREE = [
  [36, 32], [50, 24], [68, 28], [72, 40], [62, 52], [50, 54], [64, 58], [74, 70], [68, 84],
  [50, 88], [34, 80],
];
const FISH = [[28, 40], [50, 64], [72, 64], [88, 52], [72, 40], [50, 40], [28, 64], [28, 40]];
export const PRESETS = {
  three: [scaled(THREE)],
  mirrored: [scaled(THREE.map(([x, y]) => [108 - x, y]))],
  hole: [scaled([...THREE.slice(0, 3), [69, 31]]), scaled([[50, 54], ...THREE.slice(6)])],
  fish: [scaled(FISH)],
};
