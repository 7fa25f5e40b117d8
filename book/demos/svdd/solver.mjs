// Kernel SVDD, solved exactly: the dual problem of chapter 2, by its method.
//
// The chapter moves weight from the nearest point that may lose some to the farthest
// that may gain some. Here the point that loses is the one with which the step gains
// most (Fan, Chen and Lin, 2005), and distances are kept up to date instead of computed
// anew: for the 60 points of the page a solution takes milliseconds.

/** The Gaussian kernel of two points. */
export const gaussian = (gamma) => (x, z) =>
  Math.exp(-gamma * ((x[0] - z[0]) ** 2 + (x[1] - z[1]) ** 2));

/** The inner product. */
export const inner = (x, z) => x[0] * z[0] + x[1] * z[1];

/** The matrix of a kernel, row by row (n · n). */
export function matrix(points, kernel) {
  const n = points.length;
  const K = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) K[i * n + j] = K[j * n + i] = kernel(points[i], points[j]);
  }
  return K;
}

/**
 * Solve max Σ αᵢ Kᵢᵢ − αᵀKα with 0 ≤ αᵢ ≤ C = 1/(νn) and Σ αᵢ = 1.
 *
 * Returns the weights alpha, the squared radius r2, the squared norm a2 of the center,
 * the squared distances d2, the bound C, the number of steps, and whether the conditions
 * hold to `tol` (they always do, but for a limit on the steps that keeps a page alive).
 */
export function solve(K, n, nu, tol = 1e-10, most = 200_000) {
  const C = 1 / (nu * n);
  const alpha = new Float64Array(n).fill(1 / n);
  const g = new Float64Array(n); // Kα
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) g[i] += K[i * n + j] / n;
  }
  // Squared distances but for the same |a|² in all of them.
  const f = (i) => K[i * n + i] - 2 * g[i];
  let steps = 0;
  let solved = false;
  let level = null; // R² − |a|²
  while (!solved && steps < most) {
    let i = -1;
    let nearest = -1;
    for (let k = 0; k < n; k++) {
      if (alpha[k] < C - 1e-12 && (i < 0 || f(k) > f(i))) i = k;
      if (alpha[k] > 0 && (nearest < 0 || f(k) < f(nearest))) nearest = k;
    }
    if (i < 0) {
      level = f(nearest); // ν = 1: no weight can move
      solved = true;
    } else if (f(i) - f(nearest) <= tol) {
      level = (f(i) + f(nearest)) / 2;
      solved = true;
    } else {
      let j = nearest;
      let most = 0;
      for (let k = 0; k < n; k++) {
        const ahead = f(i) - f(k);
        if (alpha[k] <= 0 || ahead <= 0) continue;
        const gain = (ahead * ahead) / curvature(i, k);
        if (gain > most) [j, most] = [k, gain];
      }
      let step = (f(i) - f(j)) / (2 * curvature(i, j));
      step = Math.min(step, C - alpha[i], alpha[j]);
      alpha[i] += step;
      alpha[j] -= step;
      for (let k = 0; k < n; k++) g[k] += step * (K[k * n + i] - K[k * n + j]);
      steps += 1;
    }
  }
  function curvature(i, j) {
    return Math.max(K[i * n + i] + K[j * n + j] - 2 * K[i * n + j], 1e-14);
  }
  let a2 = 0;
  for (let k = 0; k < n; k++) a2 += alpha[k] * g[k];
  const d2 = Float64Array.from(g, (_, k) => f(k) + a2);
  if (level === null) level = Math.max(...d2.filter((_, k) => alpha[k] > 0)) - a2;
  return { alpha, r2: level + a2, a2, d2, C, steps, solved };
}

/** The cost of the ball minus the dual objective: 0 for the solution, above for others. */
export function dualityGap({ alpha, r2, a2, d2, C }, K) {
  const n = alpha.length;
  let slack = 0;
  let dual = -a2;
  for (let k = 0; k < n; k++) {
    slack += Math.max(0, d2[k] - r2);
    dual += alpha[k] * K[k * n + k];
  }
  return r2 + C * slack - dual;
}

/** Where a point lies: "inside", "boundary" or "outside", as its weight says. */
export function placeOf({ alpha, d2, r2, C }, k) {
  if (d2[k] > r2 + 1e-8 && alpha[k] >= C - 1e-9) return "outside";
  return alpha[k] > 1e-9 ? "boundary" : "inside";
}

/** Solve for points in the plane and a kernel; the matrix comes along. */
export function fit(points, nu, kernel) {
  const K = matrix(points, kernel);
  return { ...solve(K, points.length, nu), K };
}

/**
 * Score minus R² on a grid, x running fastest: negative inside the region.
 *
 * A Gaussian is a product of one factor for each axis, so that a grid needs few
 * exponentials; `gamma` null stands for the inner product.
 */
export function margins({ alpha, a2, r2 }, points, gamma, xs, ys) {
  const [nx, ny] = [xs.length, ys.length];
  const grid = new Float64Array(nx * ny);
  if (gamma === null) {
    let [cx, cy] = [0, 0];
    points.forEach(([x, y], k) => {
      cx += alpha[k] * x;
      cy += alpha[k] * y;
    });
    for (let r = 0, m = 0; r < ny; r++) {
      for (let c = 0; c < nx; c++) grid[m++] = (xs[c] - cx) ** 2 + (ys[r] - cy) ** 2 - r2;
    }
    return grid;
  }
  points.forEach(([x, y], k) => {
    if (alpha[k] < 1e-12) return;
    const across = Float64Array.from(xs, (v) => Math.exp(-gamma * (v - x) ** 2));
    for (let r = 0, m = 0; r < ny; r++) {
      const weight = -2 * alpha[k] * Math.exp(-gamma * (ys[r] - y) ** 2);
      for (let c = 0; c < nx; c++) grid[m++] += weight * across[c];
    }
  });
  for (let m = 0; m < grid.length; m++) grid[m] += 1 + a2 - r2;
  return grid;
}
