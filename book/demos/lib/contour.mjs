// The region where a function on a grid is below a level (marching squares).

/**
 * Cut the cells of a grid where the function crosses the level between corners.
 *
 * `xs` and `ys` are the grid's pixels, `values` its numbers, x fastest. The answer has
 * lists of numbers: `whole`, cells of a row joined to [left, top, right, bottom]; `shapes`,
 * the cut cells, [how many corners, x, y, x, y, …]; `lines`, the cuts, [x, y, x, y].
 */
export function cut(values, xs, ys, level = 0) {
  const nx = xs.length;
  const [whole, shapes, lines] = [[], [], []];
  const [x, y, v] = [new Float64Array(4), new Float64Array(4), new Float64Array(4)];
  for (let r = 0; r + 1 < ys.length; r++) {
    y[0] = y[1] = ys[r];
    y[2] = y[3] = ys[r + 1];
    let from = -1;
    for (let c = 0; c + 1 < nx; c++) {
      const k = r * nx + c;
      v[0] = values[k] - level;
      v[1] = values[k + 1] - level;
      v[2] = values[k + nx + 1] - level;
      v[3] = values[k + nx] - level;
      const within = (v[0] < 0) + (v[1] < 0) + (v[2] < 0) + (v[3] < 0);
      if (within === 4) {
        if (from < 0) from = c;
        continue;
      }
      if (from >= 0) whole.push(xs[from], ys[r], xs[c], ys[r + 1]);
      from = -1;
      if (within === 0) continue;
      x[0] = x[3] = xs[c];
      x[1] = x[2] = xs[c + 1];
      const place = shapes.push(0) - 1;
      for (let a = 0; a < 4; a++) {
        const b = (a + 1) & 3;
        if (v[a] < 0) shapes.push(x[a], y[a]);
        if (v[a] < 0 !== v[b] < 0) {
          const t = v[a] / (v[a] - v[b]);
          const [u, w] = [x[a] + t * (x[b] - x[a]), y[a] + t * (y[b] - y[a])];
          shapes.push(u, w);
          lines.push(u, w);
        }
      }
      shapes[place] = (shapes.length - place - 1) / 2;
    }
    if (from >= 0) whole.push(xs[from], ys[r], xs[nx - 1], ys[r + 1]);
  }
  return { whole, shapes, lines };
}

/** Add the region, and its boundary, to the paths of a canvas: {area, line}. */
export function trace({ whole, shapes, lines }, { area, line }) {
  for (let k = 0; k < whole.length; k += 4) {
    area.rect(whole[k], whole[k + 1], whole[k + 2] - whole[k], whole[k + 3] - whole[k + 1]);
  }
  for (let k = 0; k < shapes.length; k += 2 * shapes[k] + 1) {
    area.moveTo(shapes[k + 1], shapes[k + 2]);
    for (let corner = 1; corner < shapes[k]; corner++) {
      area.lineTo(shapes[k + 1 + 2 * corner], shapes[k + 2 + 2 * corner]);
    }
    area.closePath();
  }
  for (let k = 0; k < lines.length; k += 4) {
    line.moveTo(lines[k], lines[k + 1]);
    line.lineTo(lines[k + 2], lines[k + 3]);
  }
}
