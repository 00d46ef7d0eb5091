// The form of a rule: the focus after a button, and the search in the list of fields. All else is the server's.
"use strict";

document.addEventListener("htmx:afterSettle", (event) => {
  const builder = document.getElementById("builder");
  if (!builder || event.target.id !== "builder") return;
  const wanted = builder.dataset.focus && document.getElementById(builder.dataset.focus);
  if (wanted) wanted.focus();
  builder.dataset.focus = "";
});

// Fields that do not contain what is typed are taken out, not hidden: a list has no hidden options everywhere.
const offers = new WeakMap();
document.addEventListener("input", (event) => {
  const list = event.target.dataset && event.target.dataset.filter && document.getElementById(event.target.dataset.filter);
  if (!list) return;
  if (!offers.has(list)) offers.set(list, [...list.querySelectorAll("optgroup")].map((group) => group.cloneNode(true)));
  const words = event.target.value.trim().toLowerCase().split(/\s+/);
  const found = [];
  for (const group of offers.get(list)) {
    const kept = group.cloneNode(false);
    for (const option of group.children) {
      const text = `${group.label} ${option.textContent} ${option.value}`.toLowerCase();
      if (words.every((word) => text.includes(word))) kept.append(option.cloneNode(true));
    }
    if (kept.children.length) found.push(kept);
  }
  list.replaceChildren(...found);
  const first = list.querySelector("option");
  if (first && event.target.value.trim()) first.selected = true;
});

document.addEventListener("keydown", (event) => {
  const search = event.target.dataset && event.target.dataset.filter;
  const list = search ? document.getElementById(search) : event.target.closest && event.target.closest("select[data-choose]");
  if (!list) return;
  if (search && event.key === "ArrowDown") {
    event.preventDefault();
    list.focus();
    if (list.selectedIndex < 0 && list.options.length) list.selectedIndex = 0;
  }
  if (event.key === "Enter") {
    event.preventDefault();
    if (list.selectedIndex >= 0) document.getElementById(list.dataset.choose).click();
  }
});

document.addEventListener("dblclick", (event) => {
  const list = event.target.closest("select[data-choose]");
  if (list && list.selectedIndex >= 0) document.getElementById(list.dataset.choose).click();
});
