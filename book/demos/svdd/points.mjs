// The plane of chapter 2's figure, and points for a start.
import { plane } from "../lib/editor.mjs";

export const MOST = 60;
export const area = plane([-1.7, -1.3], [2.7, 1.8]);

/** A ring, of which every third point is somewhat off. */
export const ring = (n = 36) =>
  Array.from({ length: n }, (_, k) => {
    const radius = 1 + 0.08 * ((k % 3) - 1);
    const angle = (2 * Math.PI * k) / n;
    return area.snap([0.5 + radius * Math.cos(angle), 0.25 + radius * Math.sin(angle)]);
  });
