// Before a page is printed: unfold what is folded, and take the colours for paper.
// print.css has the rest.
const restore = [];

function set(thing, property, value) {
  const before = thing[property];
  restore.push(() => (thing[property] = before));
  thing[property] = value;
}

window.addEventListener("beforeprint", () => {
  for (const part of document.querySelectorAll("details")) set(part, "open", true);
  // "Hide the solution" is a button's name, on paper it is a heading.
  for (const title of document.querySelectorAll("details.hide .expanded")) {
    const text = title.textContent.replace(/^\s*Hide (the )?/, "");
    set(title, "textContent", text[0].toUpperCase() + text.slice(1));
  }
  set(document.documentElement.dataset, "theme", "light");
});
window.addEventListener("afterprint", () => {
  for (const undo of restore.splice(0)) undo();
});
