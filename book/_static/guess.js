// Numbers to be guessed (book/_ext/guess.py): a slider, and how far off the guess was
// once the reader opens the answer.
window.addEventListener("DOMContentLoaded", () => {
  for (const box of document.querySelectorAll(".guess")) {
    const place = box.querySelector(".slider");
    const input = place.querySelector("input");
    const says = place.querySelector("output");
    const answer = box.querySelector("details");
    const unit = place.dataset.unit;
    const measured = Number.parseFloat(
      answer.querySelector("strong").textContent.replaceAll(",", ""),
    );
    const guess = () => `Your guess: ${input.value} ${unit}`;
    const show = () => {
      says.textContent = answer.open
        ? `${guess()}. Measured: ${measured} ${unit}`
        : guess();
    };
    input.addEventListener("input", show);
    answer.addEventListener("toggle", () => {
      input.disabled = answer.open;
      show();
    });
    show();
    place.hidden = false;
  }
});
