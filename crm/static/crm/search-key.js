/* "/" puts the cursor into the search of the page that is shown, or leads to the search for customers. */
(() => {
  const people = document.currentScript.dataset.people || "/admin/crm/profile/";
  const box = () => document.querySelector("#searchbar, #home-search-box, #merge-search");
  if (new URLSearchParams(location.search).has("find") && box()) box().focus();
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
    const at = event.target;
    if (at instanceof HTMLElement && (at.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(at.tagName))) return;
    event.preventDefault();
    const found = box();
    if (found) { found.focus(); found.select(); } else { location.assign(people); }
  });
})();
