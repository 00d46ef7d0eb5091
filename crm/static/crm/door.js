// The pages of the door: copy, pause, and one more line of a form. Everything works without it but these.
"use strict";

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.dataset.copy) copy(button);
  if (button.dataset.pause) pause(button);
  if ("addLine" in button.dataset) addLine(button.closest("form"));
});

async function copy(button) {
  const text = document.getElementById(button.dataset.copy).textContent;
  const before = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const range = document.createRange();
    range.selectNodeContents(document.getElementById(button.dataset.copy));
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    if (!document.execCommand("copy")) return;
  }
  button.textContent = button.dataset.done;
  setTimeout(() => { button.textContent = before; }, 1500);
}

function pause(button) {
  const paused = button.getAttribute("aria-pressed") !== "true";
  button.setAttribute("aria-pressed", String(paused));
  button.textContent = paused ? button.dataset.paused : button.dataset.running;
  document.getElementById(button.dataset.pause).toggleAttribute("data-is-paused", paused);
}

// A page that nobody looks at asks for nothing.
document.addEventListener("htmx:beforeRequest", (event) => {
  if (event.target.id === "live" && (document.hidden || event.target.hasAttribute("data-is-paused"))) event.preventDefault();
});

// The list stays where somebody scrolled it to.
let scrolled = 0;
document.addEventListener("htmx:beforeSwap", (event) => {
  if (event.target.id === "live") scrolled = event.target.querySelector(".events-box")?.scrollTop ?? 0;
});
document.addEventListener("htmx:afterSwap", (event) => {
  const box = event.target.id === "live" && event.target.querySelector(".events-box");
  if (box) box.scrollTop = scrolled;
});

function addLine(form) {
  const total = form.querySelector(`[name="${form.dataset.formset}-TOTAL_FORMS"]`);
  const line = form.querySelector("template").content.cloneNode(true);
  for (const element of line.querySelectorAll("[name], [id], [for]")) {
    for (const name of ["name", "id", "for"]) {
      if (element.hasAttribute(name)) element.setAttribute(name, element.getAttribute(name).replace("__prefix__", total.value));
    }
  }
  total.value = Number(total.value) + 1;
  form.querySelector(".lines").append(line);
  form.querySelector(".line:last-child input").focus();
}
