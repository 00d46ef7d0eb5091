// The form of a rule: the focus after a button, and the search in the list of fields. All else is the server's.
"use strict";

// An answer replaces the whole form. So one request is under way at a time, and whoever goes on while it is loses
// nothing: what was typed or chosen since is put into the new form, what was pressed is pressed there.
let underWay = false;
let sent = new Map();
let from = "";
let typed = new Map();
let here = "";
let waiting = [];

const active = () => (document.activeElement && document.activeElement.id) || "";
const values = () => {
  const fields = document.querySelectorAll("#builder :is(input, select, textarea)[id]");
  return new Map([...fields].map((field) => [field.id, field.type === "checkbox" ? field.checked : field.value]));
};

const next = () => {
  underWay = false;
  const [id, isButton] = waiting.shift() || [""];
  const element = id && document.getElementById(id);
  if (!element) return;
  if (isButton) element.click();
  else element.dispatchEvent(new Event("change", { bubbles: true }));
};

document.addEventListener("htmx:beforeRequest", (event) => {
  if (event.detail.target.id !== "builder") return;
  if (underWay) {
    event.preventDefault();
    waiting.push([event.detail.elt.id, event.detail.elt.matches("button")]);
    return;
  }
  underWay = true;
  sent = values();
  from = active();
});

document.addEventListener("htmx:beforeSwap", (event) => {
  if (event.detail.target.id !== "builder") return;
  typed = new Map([...values()].filter(([id, value]) => sent.has(id) && sent.get(id) !== value));
  here = active();
});

document.addEventListener("htmx:afterRequest", (event) => {
  if (event.detail.target.id === "builder" && !event.detail.successful) next();
});

document.addEventListener("htmx:afterSettle", (event) => {
  const builder = document.getElementById("builder");
  if (!builder || event.target.id !== "builder") return;
  for (const [id, value] of typed) {
    const field = document.getElementById(id);
    if (field && field.type === "checkbox") field.checked = value;
    else if (field && field.value !== value) field.value = value;
  }
  typed = new Map();
  const wanted = builder.dataset.focus && document.getElementById(builder.dataset.focus);
  if (wanted && (here === from || !document.getElementById(here))) wanted.focus();
  builder.dataset.focus = "";
  next();
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
