// The region where a function on a grid is negative, as paths of SVG (marching squares).

/**
 * Return {area, line}: cells, cut where the function changes its sign between corners,
 * and the cuts. `xs` and `ys` are the grid's pixels, `values` its numbers, x fastest.
 */
export function region(values, xs, ys) {
  const nx = xs.length;
  const area = [];
  const line = [];
  for (let r = 0; r + 1 < ys.length; r++) {
    let from = -1; // whole cells of a row are joined
    const flush = (to) => {
      if (from >= 0) area.push(`M${at(xs[from])} ${at(ys[r])}H${at(xs[to])}V${at(ys[r + 1])}H${at(xs[from])}Z`);
      from = -1;
    };
    for (let c = 0; c + 1 < nx; c++) {
      const corners = [
        [xs[c], ys[r], values[r * nx + c]],
        [xs[c + 1], ys[r], values[r * nx + c + 1]],
        [xs[c + 1], ys[r + 1], values[(r + 1) * nx + c + 1]],
        [xs[c], ys[r + 1], values[(r + 1) * nx + c]],
      ];
      const within = corners.filter(([, , v]) => v < 0).length;
      if (within === 4) {
        if (from < 0) from = c;
        continue;
      }
      flush(c);
      if (within === 0) continue;
      const shape = [];
      const cuts = [];
      corners.forEach((a, k) => {
        const b = corners[(k + 1) % 4];
        if (a[2] < 0) shape.push(a);
        if (a[2] < 0 !== b[2] < 0) {
          const t = a[2] / (a[2] - b[2]);
          const cut = [a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1])];
          shape.push(cut);
          cuts.push(cut);
        }
      });
      area.push(`M${shape.map(pair).join("L")}Z`);
      for (let k = 0; k + 1 < cuts.length; k += 2) line.push(`M${pair(cuts[k])}L${pair(cuts[k + 1])}`);
    }
    flush(nx - 1);
  }
  return { area: area.join(""), line: line.join("") };
}

const at = (value) => Math.round(10 * value) / 10;
const pair = ([x, y]) => `${at(x)} ${at(y)}`;
