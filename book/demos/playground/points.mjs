// The playground's plane: normal points, all on one side of the origin, and anomalies.
import { plane } from "../lib/editor.mjs";
import { normals } from "./network.mjs";

export const MOST = 60; // of each kind
export const area = plane([-1, -1], [3, 2]);

/** A bent cloud of normal points. */
export function cloud(n = 40) {
  const next = normals(1);
  return Array.from({ length: n }, (_, k) => {
    const angle = 0.15 + (0.9 * k) / (n - 1);
    const radius = 1.5 + 0.12 * next();
    return area.snap([radius * Math.cos(angle), radius * Math.sin(angle) - 0.1]);
  });
}

export const ANOMALIES = [
  [0.95, 0.5], [0.35, 0.6], [2.4, 0.4], [2.2, 1.4], [0.3, 1.4], [1.4, -0.45], [0.7, 0.05],
  [1.3, 1.35], [-0.6, 0.4], [-0.5, -0.6],
];
