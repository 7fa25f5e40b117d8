// Parts of a page to be tried (book/_ext/demo.py): a button loads the program. It is
// loaded at once where the page's address has settings for it.
window.addEventListener("DOMContentLoaded", () => {
  for (const place of document.querySelectorAll(".demo-start")) {
    const box = place.closest(".demo");
    const button = place.querySelector("button");
    const says = place.querySelector("small");
    const start = () => {
      button.disabled = true;
      const script = document.createElement("script");
      script.src = place.dataset.script;
      script.addEventListener("error", () => {
        button.disabled = false;
        says.textContent = "It could not be loaded. Try again.";
        script.remove();
      });
      document.head.append(script);
    };
    button.addEventListener("click", () => {
      box.dataset.pressed = "";
      start();
    });
    place.hidden = false;
    const name = `${box.id.replace("demo-", "")}.`;
    const given = [...new URLSearchParams(location.search).keys()];
    if (given.some((key) => key.startsWith(name))) start();
  }
});
