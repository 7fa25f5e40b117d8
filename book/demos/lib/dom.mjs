// Parts of a page: elements, sliders, what is said to those who do not see it.

const SVG = "http://www.w3.org/2000/svg";
let numbered = 0;

/** An id that no other element of the demos has. */
export const freshId = () => `demo-part-${++numbered}`;

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(name, value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

/**
 * Make an HTML element. Attributes that are functions listen to events of that name;
 * true stands for an attribute without a value, false and null for none.
 */
export const html = (tag, attributes = {}, ...children) =>
  fill(document.createElement(tag), attributes, children);

/** Make an SVG element, in the same way. */
export const svg = (tag, attributes = {}, ...children) =>
  fill(document.createElementNS(SVG, tag), attributes, children);

/**
 * A labelled slider of equal steps from 0 to `steps`; `read` turns the position (0 to 1)
 * into the value, `write` turns it back, `say` writes it for people.
 */
export function slider({ label, value, read, write, say, steps = 200, changed }) {
  const id = freshId();
  // No <output>: it would be read aloud twice, as the slider's value and by itself.
  const output = html("span", { class: "demo-value", "aria-hidden": "true" });
  const input = html("input", {
    type: "range",
    id,
    min: 0,
    max: steps,
    step: 1,
    input: () => {
      current = read(input.valueAsNumber / steps);
      show();
      changed(current);
    },
  });
  let current = value;
  function show() {
    setText(output, say(current));
    setAttribute(input, "aria-valuetext", say(current));
  }
  function set(next) {
    current = next;
    const position = Math.round(write(next) * steps);
    if (input.valueAsNumber !== position) input.valueAsNumber = position;
    show();
  }
  set(value);
  const element = html(
    "div",
    { class: "demo-slider" },
    html("span", {}, html("label", { for: id }, label), " ", output),
    input,
  );
  return { element, input, set };
}

/** The maps of a slider whose values are evenly spread in their logarithm. */
export const logarithmic = (low, high) => ({
  read: (position) => low * (high / low) ** position,
  write: (value) => Math.log(value / low) / Math.log(high / low),
});

/** The maps of a slider whose values are evenly spread. */
export const linear = (low, high) => ({
  read: (position) => low + (high - low) * position,
  write: (value) => (value - low) / (high - low),
});

/** A labelled choice between named options; `changed` gets the key. */
export function choice({ label, options, value, changed }) {
  const id = freshId();
  const select = html(
    "select",
    { id, change: () => changed(select.value) },
    ...options.map(([key, name]) => html("option", { value: key }, name)),
  );
  select.value = value;
  const element = html("div", { class: "demo-choice" }, html("label", { for: id }, label), select);
  return {
    element,
    set: (next) => (select.value = next),
    get value() {
      return select.value;
    },
  };
}

export const button = (text, click, attributes = {}) =>
  html("button", { type: "button", click, ...attributes }, text);

/** A line that screen readers speak, once its text has been still for half a second. */
export function speaker() {
  const element = html("p", { class: "demo-spoken", role: "status" });
  let timer;
  function say(text) {
    clearTimeout(timer);
    timer = setTimeout(() => {
      if (element.textContent !== text) element.textContent = text;
    }, 500);
  }
  return { element, say };
}

/** Call a function at most once a frame, with the arguments of the latest call. */
export function everyFrame(draw) {
  let waiting = null;
  return (...given) => {
    if (waiting === null) {
      requestAnimationFrame(() => {
        const last = waiting;
        waiting = null;
        draw(...last);
      });
    }
    waiting = given;
  };
}

/** Call a function at once, but not again before `pause` ms have passed; the last call counts. */
export function rarely(tell, pause = 100) {
  let resting = false;
  let wanted = false;
  return function call() {
    wanted = resting;
    if (resting) return;
    resting = true;
    tell();
    setTimeout(() => {
      resting = false;
      if (wanted) call();
    }, pause);
  };
}

/**
 * A list of terms and values, which `show` changes: only what is new touches the page,
 * as its layout takes longer than most of what is computed.
 */
export function factList() {
  const element = html("dl", { class: "demo-facts" });
  const rows = [];
  function show(lines) {
    while (rows.length > lines.length) rows.pop().row.remove();
    while (rows.length < lines.length) {
      const [term, value] = [html("dt"), html("dd")];
      rows.push({ row: html("div", {}, term, value), term, value });
      element.append(rows.at(-1).row);
    }
    lines.forEach(([term, value], k) => {
      setText(rows[k].term, term);
      setText(rows[k].value, value);
    });
  }
  return { element, show };
}

/** Change the text of an element, if it is another one. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Change an attribute, if it is another one. */
export function setAttribute(element, name, value) {
  if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
}

/** Draw anew whenever an element's width changes; while it is hidden it has none. */
export function onWidth(element, draw) {
  let width = 0;
  new ResizeObserver(() => {
    const next = element.clientWidth;
    if (next && next !== width) {
      width = next;
      draw(width);
    }
  }).observe(element);
}

/** The place that the page has for a demo, emptied, with the demos' style. */
export function place(name, style) {
  const box = document.getElementById(`demo-${name}`);
  if (!document.getElementById("demo-style")) {
    document.head.append(html("style", { id: "demo-style" }, style));
  }
  const stage = html("div", { class: "demo-stage" });
  box.querySelector(".demo-start").replaceWith(stage);
  return { box, stage };
}

/** Say that a demo can be used: the reader's focus goes where the button was. */
export function ready(box, first) {
  box.dataset.running = "";
  if (box.hasAttribute("data-pressed")) first.focus({ preventScroll: true });
}
