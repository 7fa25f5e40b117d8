// What Sphinx and MathJax leave to be done for readers without a mouse or a screen. When
// all is done the page says so (<html data-reachable>), for tests to wait for.
window.addEventListener("load", async () => {
  // Roles of bibliographies that are deprecated, or lack their counterparts.
  for (const role of ["doc-biblioentry", "list"]) {
    for (const part of document.querySelectorAll(`.citation-list[role=${role}], .citation[role=${role}]`)) {
      part.removeAttribute("role");
    }
  }
  // Figures that the style sheet lets scroll on a phone: let the keyboard reach them, too.
  if (matchMedia("(max-width: 600px)").matches) {
    for (const image of document.querySelectorAll("div.cell_output img")) {
      if ((parseFloat(image.style.width) || image.naturalWidth) > 650) {
        image.parentElement.classList.add("wide");
        image.parentElement.tabIndex = 0;
      }
    }
  }
  // Formulas wider than the page scroll: let the keyboard reach them.
  if (window.MathJax?.startup) {
    await window.MathJax.startup.promise;
    for (const formula of document.querySelectorAll("mjx-container[display=true]")) {
      formula.tabIndex = 0;
    }
  }
  // So do long lines of code, as soon as their font is there. The theme does the same
  // when the page has been still for 0.3 s, which on a busy machine can be late.
  await document.fonts.ready;
  for (const block of document.querySelectorAll("pre")) {
    if (block.scrollWidth > block.clientWidth || block.scrollHeight > block.clientHeight) {
      block.tabIndex = 0;
    }
  }
  document.documentElement.dataset.reachable = "";
});
