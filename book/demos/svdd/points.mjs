// Points in the plane of chapter 2's figure, in hundredths, and their form in an address.

export const LOW = [-1.7, -1.3];
export const HIGH = [2.7, 1.8];
export const MOST = 60;

/** The nearest place, in hundredths, that the plane has. */
export const snap = (point) =>
  point.map((v, k) => Math.round(100 * Math.min(Math.max(v, LOW[k]), HIGH[k])) / 100);

/** Write points as "212-130_45-99": hundredths from the lower left corner. */
export const write = (points) =>
  points.map((p) => p.map((v, k) => Math.round(100 * (v - LOW[k]))).join("-")).join("_");

/** Read what `write` wrote; null if it is something else. */
export function parse(text) {
  if (!/^\d{1,3}-\d{1,3}(_\d{1,3}-\d{1,3})+$/.test(text)) return null;
  const points = text.split("_").map((pair) => snap(pair.split("-").map((v, k) => v / 100 + LOW[k])));
  return points.length <= MOST ? points : null;
}

/** A ring, of which every third point is somewhat off. */
export const ring = (n = 36) =>
  Array.from({ length: n }, (_, k) => {
    const radius = 1 + 0.08 * ((k % 3) - 1);
    const angle = (2 * Math.PI * k) / n;
    return snap([0.5 + radius * Math.cos(angle), 0.25 + radius * Math.sin(angle)]);
  });
