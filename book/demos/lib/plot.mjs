// Small charts in SVG, drawn for the width that they have: type keeps its size.
import { setAttribute, setText, svg } from "./dom.mjs";

/** A scale from data to pixels, and back. */
export function scale([low, high], [from, to], log = false) {
  const f = log ? Math.log : (v) => v;
  const g = log ? Math.exp : (v) => v;
  const slope = (to - from) / (f(high) - f(low));
  const map = (value) => from + (f(value) - f(low)) * slope;
  map.back = (pixel) => g(f(low) + (pixel - from) / slope);
  map.domain = [low, high];
  return map;
}

/** A path through points; gaps where a coordinate is not finite. */
export function path(xs, ys) {
  let text = "";
  let pen = "M";
  for (let k = 0; k < xs.length; k++) {
    if (!Number.isFinite(xs[k]) || !Number.isFinite(ys[k])) {
      pen = "M";
      continue;
    }
    text += `${pen}${xs[k].toFixed(1)} ${ys[k].toFixed(1)}`;
    pen = "L";
  }
  return text;
}

/** Numbers 1, 10, 100 … within limits; also 2 and 5 times these where they are few. */
export function decades(low, high) {
  const found = [];
  const factors = high / low > 200 ? [1] : [1, 2, 5];
  for (let e = Math.floor(Math.log10(low)); e <= Math.log10(high); e++) {
    for (const factor of factors) {
      const value = Number(`${factor}e${e}`);
      if (value >= low && value <= high) found.push(value);
    }
  }
  return found;
}

/** A frame with ticks and labels. */
export function frame({ x, y, left, right, top, bottom, xticks, yticks, xlabel, ylabel, say = String }) {
  const parts = [svg("path", { class: "axis", d: `M${left} ${top}V${bottom}H${right}` })];
  for (const tick of xticks) {
    parts.push(svg("text", { x: x(tick), y: bottom + 14, "text-anchor": "middle" }, say(tick)));
    parts.push(svg("path", { class: "axis", d: `M${x(tick)} ${bottom}v4` }));
  }
  for (const tick of yticks) {
    parts.push(svg("text", { x: left - 6, y: y(tick) + 4, "text-anchor": "end" }, say(tick)));
    parts.push(svg("path", { class: "axis", d: `M${left} ${y(tick)}h-4` }));
  }
  if (xlabel) {
    const middle = (left + right) / 2;
    parts.push(svg("text", { x: middle, y: bottom + 29, "text-anchor": "middle" }, xlabel));
  }
  if (ylabel) {
    parts.push(svg("text", { x: left, y: top - 6, "text-anchor": "start" }, ylabel));
  }
  return parts;
}

/** An empty picture that says what it shows. */
export const picture = (label, attributes = {}) =>
  svg("svg", { class: "demo-picture", role: "img", "aria-label": label, ...attributes });

/**
 * Give a picture its size in pixels, and its parts. Parts that it has already stay, and of
 * others of the same kind only what is new changes: text that stays need not be laid out.
 */
export function compose(target, width, height, parts) {
  resize(target, width, height);
  while (target.children.length > parts.length) target.lastChild.remove();
  parts.forEach((part, k) => {
    const old = target.children[k];
    if (!old) target.append(part);
    else if (old.tagName !== part.tagName || part.children.length) old.replaceWith(part);
    else mend(old, part);
  });
}

/** Make an element without children the same as another of its kind. */
function mend(old, part) {
  for (const { name } of [...old.attributes]) {
    if (!part.hasAttribute(name)) old.removeAttribute(name);
  }
  for (const { name, value } of part.attributes) setAttribute(old, name, value);
  setText(old, part.textContent);
}

/** Give a picture its size in pixels. */
export function resize(target, width, height) {
  setAttribute(target, "viewBox", `0 0 ${width} ${height}`);
  setAttribute(target, "width", width);
  setAttribute(target, "height", height);
}
