// Names each slider and what it is set to for screen readers, which ipywidgets leaves out. The first
// picture that is loaded runs this.
(() => {
  if (window.rurkPanel) return;
  window.rurkPanel = true;
  const name = () => {
    for (const handle of document.querySelectorAll(".widget-slider .noUi-handle")) {
      const slider = handle.closest(".widget-slider");
      for (const [part, attribute] of [["label", "aria-label"], ["readout", "aria-valuetext"]]) {
        const text = slider.querySelector(`.widget-${part}`)?.textContent ?? "";
        if (handle.getAttribute(attribute) !== text) handle.setAttribute(attribute, text);
      }
    }
  };
  // The slider sets its own valuetext, a step's number, before or after the readout is there.
  const changes = { subtree: true, childList: true, attributeFilter: ["aria-valuetext"] };
  new MutationObserver(name).observe(document.body, changes);
  name();
})();
