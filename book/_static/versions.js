// A switch between the versions of the published book: .github/publish.py writes
// versions.json beside their folders. Elsewhere, as on a disk, nothing is asked for.
window.addEventListener("DOMContentLoaded", async () => {
  const root = new URL(document.documentElement.dataset.content_root, location);
  const here = root.pathname.match(/\/(latest|stable|v\d+\.\d+)\/$/)?.[1];
  const head = document.querySelector(".header-article-items__start");
  if (!here || !head || !root.protocol.startsWith("http")) return;
  const response = await fetch(new URL("../versions.json", root)).catch(() => null);
  if (!response?.ok) return;
  const versions = await response.json();

  const select = document.createElement("select");
  select.className = "versions";
  select.setAttribute("aria-label", "Version of the book");
  select.title = "Version of the book. Keyboard: choose with the arrows, go with Enter.";
  for (const { folder, name } of versions) {
    select.add(new Option(name, folder, false, folder === here));
  }
  const page = location.pathname.slice(root.pathname.length) || "index.html";
  const go = () => {
    const { folder, pages } = versions.find((version) => version.folder === select.value);
    const same = pages.includes(page) ? page + location.hash : "";
    location.assign(new URL(`../${folder}/${same}`, root));
  };
  // Arrow keys choose at once, in some browsers: nobody must be carried off by the first.
  let keyboard = false;
  select.addEventListener("pointerdown", () => (keyboard = false));
  select.addEventListener("keydown", (event) => {
    keyboard = true;
    if (event.key === "Enter" && select.value !== here) {
      event.preventDefault();
      go();
    }
  });
  select.addEventListener("change", () => keyboard || go());
  // A browser's way back may restore what was chosen here.
  window.addEventListener("pageshow", () => (select.value = here));

  const item = document.createElement("div");
  item.className = "header-article-item";
  item.append(select);
  head.append(item);
});
