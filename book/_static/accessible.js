// What Sphinx and MathJax leave to be done for readers without a mouse or a screen.
window.addEventListener("load", async () => {
  // Roles of bibliographies that are deprecated, or lack their counterparts.
  for (const role of ["doc-biblioentry", "list"]) {
    for (const part of document.querySelectorAll(`.citation-list[role=${role}], .citation[role=${role}]`)) {
      part.removeAttribute("role");
    }
  }
  // Figures that the style sheet lets scroll on a phone: let the keyboard reach them, too.
  if (matchMedia("(max-width: 600px)").matches) {
    for (const image of document.querySelectorAll("div.cell_output > img")) {
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
});
