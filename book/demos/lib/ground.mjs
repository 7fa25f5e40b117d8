// The ground of a picture: a canvas below it, for what changes with every frame. There it
// is neither laid out nor kept as elements, for which a phone would have no time.
import { html } from "./dom.mjs";

const COLORS = {
  normal: "--normal",
  anomaly: "--anomaly",
  support: "--support",
  curve: "--curve",
  text: "--pst-color-text-base",
  muted: "--pst-color-text-muted",
};

/**
 * A ground in the colors of `box`. `fit` gives it its size in pixels of the page, and
 * `paint` calls a function of an empty canvas's pen and of the colors. `redraw` is
 * called when the page has other colors.
 */
export function ground(box, redraw) {
  const canvas = html("canvas", { class: "demo-ground", "aria-hidden": "true" });
  const pen = canvas.getContext("2d");
  const colors = {};
  function look() {
    const style = getComputedStyle(box);
    for (const [key, name] of Object.entries(COLORS)) {
      colors[key] = style.getPropertyValue(name).trim();
    }
  }
  look();
  new MutationObserver(() => {
    look();
    redraw();
  }).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  return {
    element: canvas,
    fit(width, height) {
      const dense = Math.min(devicePixelRatio, 2);
      canvas.width = Math.round(width * dense);
      canvas.height = Math.round(height * dense);
      canvas.style.width = `${width}px`;
      canvas.style.height = `${height}px`;
      pen.setTransform(canvas.width / width, 0, 0, canvas.height / height, 0, 0);
      pen.lineCap = pen.lineJoin = "round";
    },
    paint(draw) {
      pen.clearRect(0, 0, canvas.width, canvas.height);
      draw(pen, colors);
    },
  };
}

/** Draw a line along a path. */
export function stroke(pen, path, color, width) {
  pen.strokeStyle = color;
  pen.lineWidth = width;
  pen.stroke(path);
}

/** Fill a path. */
export function fill(pen, path, color) {
  pen.fillStyle = color;
  pen.fill(path);
}
