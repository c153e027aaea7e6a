// What ipywidgets leaves out: sliders' names and values for screen readers, thumbnails that can be
// clicked, a word when the page's server has stopped. The first picture that is loaded runs this.
(() => {
  if (window.rurkPanel) return;
  const handles = () => [...document.querySelectorAll(".widget-slider .noUi-handle")];
  const label = (handle, part) => {
    const found = handle.closest(".widget-slider").querySelector(`.widget-${part}`);
    return found ? found.textContent : "";
  };
  const say = (handle, attribute, words) => {
    if (handle.getAttribute(attribute) !== words) handle.setAttribute(attribute, words);
  };
  const name = () => {
    for (const handle of handles()) {
      say(handle, "aria-label", label(handle, "label"));
      say(handle, "aria-valuetext", label(handle, "readout"));
    }
  };
  // A click on a grid of tiles, inside margins that are shares of the picture: its slider goes
  // there by keys, which is how a slider tells its kernel.
  const choose = (event, slider, [left, top, right, bottom], columns, rows, first, last) => {
    const box = event.target.getBoundingClientRect();
    const column = Math.floor(
      (columns * ((event.clientX - box.left) / box.width - left)) / (1 - left - right));
    const row = Math.floor(
      (rows * ((event.clientY - box.top) / box.height - top)) / (1 - top - bottom));
    const index = first + row * columns + column;
    const handle = handles().find((h) => label(h, "label") === slider);
    if (!handle || column < 0 || column >= columns || row < 0 || index > last) return;
    const press = (key) => handle.dispatchEvent(new KeyboardEvent("keydown", { key }));
    press("Home");
    for (let step = 0; step < index; step += 1) press("ArrowRight");
  };
  const stopped = () => {
    const said = document.getElementById("rurk-stopped") || document.createElement("p");
    said.id = "rurk-stopped";
    said.textContent = "The inspector has stopped: start it again, and load this page anew.";
    said.setAttribute("role", "alert");
    said.style =
      "position: fixed; top: 0; z-index: 9; padding: 0.6em; background: #fde8d8; color: #222";
    document.body.append(said);
  };
  const alive = () =>
    fetch("voila/static/voila.js", { method: "HEAD", cache: "no-store" }).catch(stopped);
  window.rurkPanel = { choose };
  // The slider sets its own valuetext, a step's number, before or after the readout is there.
  const changes = { subtree: true, childList: true, attributeFilter: ["aria-valuetext"] };
  new MutationObserver(name).observe(document.body, changes);
  name();
  if (document.body.dataset.voila) setInterval(alive, 5000);
})();
