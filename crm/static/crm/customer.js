// On a narrow screen the panels beside the timeline are folded, so that it is near; a link to a part unfolds it.
(() => {
  const narrow = matchMedia("(max-width: 1023px)");
  const fold = (root) => {
    if (!narrow.matches) return;
    for (const one of root.querySelectorAll("details.fold[open]")) {
      if (!one.contains(document.activeElement)) one.open = false;
    }
  };
  const unfold = () => {
    const wanted = location.hash ? document.getElementById(location.hash.slice(1)) : null;
    const part = wanted && (wanted.closest("details.fold") || wanted.querySelector("details.fold"));
    if (part) part.open = true;
  };
  fold(document);
  unfold();
  addEventListener("hashchange", unfold);
  document.addEventListener("htmx:afterSwap", (event) => fold(event.target));
})();
