// Imports: a file may be dropped, its size is shown, and fields that mean nothing for a choice are hidden.
"use strict";
(function () {
  document.querySelectorAll("[data-drop]").forEach(function (zone) {
    const input = zone.querySelector("input[type=file]");
    const name = zone.querySelector("[data-file-name]");
    // The theme would look for a text field of its own file widget.
    input.hasChangeListener = true;
    function show() {
      const file = input.files[0];
      const tooLarge = file && file.size > Number(input.dataset.limit) * 1048576;
      input.setCustomValidity(tooLarge ? input.dataset.tooLarge : "");
      name.classList.toggle("bad", Boolean(tooLarge));
      name.textContent = file ? (tooLarge ? input.dataset.tooLarge + " " : "") + file.name + " · " +
        (file.size < 1048576 ? Math.max(1, Math.round(file.size / 1024)) + " KB" : (file.size / 1048576).toFixed(1) + " MB") : "";
    }
    input.addEventListener("change", show);
    ["dragenter", "dragover"].forEach(function (kind) {
      zone.addEventListener(kind, function (event) { event.preventDefault(); zone.classList.add("over"); });
    });
    ["dragleave", "drop"].forEach(function (kind) {
      zone.addEventListener(kind, function (event) { event.preventDefault(); zone.classList.remove("over"); });
    });
    zone.addEventListener("drop", function (event) {
      if (event.dataTransfer.files.length) { input.files = event.dataTransfer.files; show(); }
    });
    zone.closest("form").addEventListener("submit", function () {
      const button = zone.closest("form").querySelector("button[type=submit]");
      button.textContent = button.dataset.busy;
      window.setTimeout(function () { button.disabled = true; }, 0);
    });
  });
  document.querySelectorAll("[data-target]").forEach(function (select) {
    const box = select.parentElement;
    const type = box.querySelector("[name^=type-]");
    function fit() {
      box.querySelectorAll("[data-for]").forEach(function (field) {
        const wanted = field.dataset.for.split(" ");
        const isDate = wanted.includes("date") && (select.value === "trait" || select.value === "property") && type.value === "date";
        field.hidden = !(wanted.includes(select.value) || isDate);
      });
    }
    select.addEventListener("change", fit);
    type.addEventListener("change", fit);
    fit();
  });
  const evidence = document.querySelector("[data-evidence]");
  if (evidence) {
    const answers = document.querySelectorAll("[data-consent]");
    const fit = function () {
      const yes = Array.from(answers).some(function (one) { return one.checked && one.value === "yes"; });
      evidence.hidden = !yes;
      evidence.querySelector("textarea").required = yes;
    };
    answers.forEach(function (one) { one.addEventListener("change", fit); });
    fit();
  }
}());
