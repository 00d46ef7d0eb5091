// The theme hides a page until its scripts have run, and a browser does not focus what is hidden: do it afterwards.
{
  const focus = () => {
    const wanted = document.querySelector("[autofocus]");
    if (wanted && (document.activeElement === null || document.activeElement === document.body)) wanted.focus();
  };
  document.addEventListener("alpine:initialized", () => requestAnimationFrame(focus));
  window.addEventListener("load", focus);
}
