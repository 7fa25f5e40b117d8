// Points in a plane that are dragged, added and removed, by mouse, finger or keys.
import * as dom from "./dom.mjs";
import { resize, scale } from "./plot.mjs";

const { html, svg } = dom;

/** Marks, as parts of a path: dot, disc, triangle, and a diamond. */
export const MARKS = {
  dot: "m-3 0a3 3 0 1 0 6 0a3 3 0 1 0 -6 0z",
  disc: "m-5 0a5 5 0 1 0 10 0a5 5 0 1 0 -10 0z",
  triangle: "m0 -6l5.5 10.5h-11z",
  diamond: "m0 -6l5 6l-5 6l-5 -6z",
};
export const markAt = (mark, x, y) => `M${x.toFixed(1)} ${y.toFixed(1)}${MARKS[mark]}`;

/** A plane with limits: its places, hundredths apart, and points as text for an address. */
export function plane(low, high) {
  /** The nearest place, in hundredths, that the plane has. */
  const snap = (point) =>
    point.map((v, k) => Math.round(100 * Math.min(Math.max(v, low[k]), high[k])) / 100);
  /** Write points as "212-130_45-99": hundredths from the lower left corner. */
  const write = (points) =>
    points.map((p) => p.map((v, k) => Math.round(100 * (v - low[k]))).join("-")).join("_");
  /** Read `least` to `most` points that `write` wrote; null if it is something else. */
  const parse =
    (most, least = 2) =>
    (text) => {
      if (text === "" && least === 0) return [];
      if (!/^\d{1,3}-\d{1,3}(_\d{1,3}-\d{1,3})*$/.test(text)) return null;
      const points = text
        .split("_")
        .map((pair) => snap(pair.split("-").map((v, k) => v / 100 + low[k])));
      return points.length >= least && points.length <= most ? points : null;
    };
  return { low, high, snap, write, parse };
}

/**
 * An editor of points.
 *
 * `points()` lists [x, y] of all; `look(k)` gives {mark, kind, says} of one: its mark,
 * its class, and its state in words. The editor asks for changes by `move(k, point)`,
 * `add(point)`, which answers with the new point's place, and `remove(k)`; a change that
 * is refused is answered with a sentence, which `say` speaks. After a change, call `draw`.
 */
export function editor({ area, label, points, look, move, add, remove, say }) {
  let chosen = 0;
  let x = scale([area.low[0], area.high[0]], [0, 1]);
  let y = scale([area.low[1], area.high[1]], [1, 0]);
  let width = 0;
  const layer = svg("g");
  const back = svg("g");
  const help = html(
    "p",
    { class: "demo-help", id: dom.freshId() },
    "Drag a point; click a free place for a new one. Keys: arrows move the point, with " +
      "Shift a little; Page Up and Page Down go to another; + adds one, Delete removes it.",
  );
  const sheet = svg(
    "svg",
    {
      class: "demo-picture demo-plane",
      role: "group",
      "aria-label": label,
      "aria-describedby": help.id,
      click: (event) => insert(area.snap(under(event))),
    },
    back,
    layer,
  );

  function under(event) {
    const { left, top } = sheet.getBoundingClientRect();
    return [x.back(event.clientX - left), y.back(event.clientY - top)];
  }

  function insert(point) {
    const answer = add(point);
    if (typeof answer === "string") return say(answer);
    chosen = answer;
    return focus();
  }

  function take() {
    const focused = layer.contains(document.activeElement);
    const refused = remove(chosen);
    if (refused) return say(refused);
    chosen = Math.max(Math.min(chosen, points().length - 1), 0);
    draw();
    return focused && focus();
  }

  /** A free place next to the chosen point. */
  function beside() {
    const [i, j] = points()[chosen] ?? [0, 1].map((k) => (area.low[k] + area.high[k]) / 2);
    const taken = ([u, v]) => points().some((p) => p[0] === u && p[1] === v);
    const places = [[0.15, 0.1], [-0.15, 0.1], [0.15, -0.1], [-0.15, -0.1], [0.3, 0], [0.45, 0]];
    const near = places.map(([dx, dy]) => area.snap([i + dx, j + dy]));
    return near.find((place) => !taken(place)) ?? near.at(-1);
  }

  function focus() {
    draw();
    layer.children[chosen]?.focus({ preventScroll: true });
  }

  function key(event) {
    const step = event.shiftKey ? 0.01 : 0.05;
    const n = points().length;
    const moves = {
      ArrowLeft: [-step, 0],
      ArrowRight: [step, 0],
      ArrowUp: [0, step],
      ArrowDown: [0, -step],
    };
    const others = {
      PageDown: (chosen + 1) % n,
      PageUp: (chosen + n - 1) % n,
      Home: 0,
      End: n - 1,
    };
    if (event.key in moves) {
      const [dx, dy] = moves[event.key];
      const [i, j] = points()[chosen];
      move(chosen, area.snap([i + dx, j + dy]));
    } else if (event.key in others) {
      chosen = others[event.key];
      focus();
    } else if (event.key === "Delete" || event.key === "Backspace") take();
    else if (event.key === "+" || event.key === "Insert") insert(beside());
    else return;
    event.preventDefault();
  }

  function newPoint() {
    const point = svg(
      "g",
      { class: "sample", role: "button", keydown: key },
      svg("circle", { class: "reach", r: 14 }),
      svg("path", { class: "mark" }),
    );
    const index = () => [...layer.children].indexOf(point);
    point.addEventListener("focus", () => {
      chosen = index();
      draw();
    });
    point.addEventListener("click", (event) => event.stopPropagation());
    point.addEventListener("pointerdown", (event) => {
      point.setPointerCapture(event.pointerId);
      chosen = index();
      focus();
      event.preventDefault(); // else the page would select its text
    });
    // The page would scroll: browsers take no note of touch-action in parts of an SVG.
    point.addEventListener("touchstart", (event) => event.preventDefault(), { passive: false });
    point.addEventListener("pointermove", (event) => {
      if (point.hasPointerCapture(event.pointerId)) move(index(), area.snap(under(event)));
    });
    return point;
  }

  /** Draw the points as they are now. */
  function draw() {
    const all = points();
    while (layer.children.length > all.length) layer.lastChild.remove();
    while (layer.children.length < all.length) layer.append(newPoint());
    all.forEach(([i, j], k) => {
      const node = layer.children[k];
      const { mark, kind, says } = look(k);
      dom.setAttribute(node, "class", `sample ${kind}${k === chosen ? " chosen" : ""}`);
      dom.setAttribute(node, "transform", `translate(${x(i).toFixed(1)} ${y(j).toFixed(1)})`);
      dom.setAttribute(node, "tabindex", k === chosen ? 0 : -1);
      dom.setAttribute(node.lastChild, "d", `M0 0${MARKS[mark]}`);
      const at = [i, j].map((v) => v.toFixed(2).replace("-", "−")).join(", ");
      dom.setAttribute(node, "aria-label", `Point ${k + 1} of ${all.length} at ${at}: ${says}`);
    });
  }

  return {
    element: sheet,
    help,
    back,
    draw,
    add: () => insert(beside()),
    remove: take,
    get chosen() {
      return chosen;
    },
    set chosen(k) {
      chosen = k;
    },
    get size() {
      return [width, sheet.height.baseVal.value];
    },
    /** Fit the plane into a width in pixels; lengths are equal in both directions. */
    fit(pixels) {
      width = pixels;
      const { low, high } = area;
      const height = Math.round((width * (high[1] - low[1])) / (high[0] - low[0]));
      x = scale([low[0], high[0]], [0, width]);
      y = scale([low[1], high[1]], [height, 0]);
      resize(sheet, width, height);
    },
    /** Pixels about `cell` apart, and the places that they are. */
    grid(cell) {
      const [pxs, pys] = this.size.map((size) => {
        const n = Math.ceil(size / cell) + 1;
        return Float64Array.from({ length: n }, (_, k) => (k * size) / (n - 1));
      });
      return { pxs, pys, xs: pxs.map((p) => x.back(p)), ys: pys.map((p) => y.back(p)) };
    },
  };
}
