/* Keep the preview beside a form up to date: send the form when it changes, put the answer into the place of the old
   one, and each sentence about a field to that field. Without this script the button "Preview" does it. */
"use strict";

const WAIT = 500;
const form = document.querySelector("form[data-preview]");
const preview = document.getElementById("preview");
let timer;
let turn = 0;

function fields() {
  const sent = new URLSearchParams();
  for (const [name, value] of new FormData(form)) {
    if (typeof value === "string") {
      sent.append(name, value);
    }
  }
  return sent;
}

function tell() {
  const told = new Map();
  for (const item of preview.querySelectorAll(".all-told [data-field]")) {
    told.set(item.dataset.field, item.textContent);
  }
  for (const place of form.querySelectorAll("p.told[data-field]")) {
    const sentence = told.get(place.dataset.field) || "";
    if (place.textContent !== sentence) {
      place.textContent = sentence;
    }
    if (sentence && place.closest("details")) {
      place.closest("details").open = true;
    }
  }
}

async function refresh() {
  const mine = ++turn;
  try {
    const response = await fetch(form.dataset.preview, {
      method: "POST",
      body: fields(),
      credentials: "same-origin",
      redirect: "manual",
    });
    if (response.type === "opaqueredirect") {
      preview.textContent = "Your session has ended. Copy what you have typed, then load the page again to sign in.";
    } else if (mine === turn && response.ok && preview.matches(":active")) {
      soon(WAIT); // What is replaced while it is pressed is not clicked.
    } else if (mine === turn && response.ok) {
      const focused = preview.contains(document.activeElement) ? document.activeElement.name : "";
      preview.innerHTML = await response.text();
      tell();
      if (focused && preview.querySelector(`[name="${focused}"]`)) {
        preview.querySelector(`[name="${focused}"]`).focus();
      }
      const again = preview.querySelector("[data-again]");
      if (again) {
        soon(again.dataset.again * 1000);
      }
    }
  } catch {
    // The server is away: the buttons of the form say so.
  }
}

function soon(wait) {
  clearTimeout(timer);
  timer = setTimeout(refresh, wait);
}

form.addEventListener("input", () => {
  turn += 1; // What is on its way was asked before this, and would undo it.
  soon(WAIT);
});

/* What was typed before this script was there, or is put back by the browser, comes without an event. */
const isChanged = (field) =>
  field.value !== (field.defaultValue ?? field.value) ||
  field.checked !== field.defaultChecked ||
  [...(field.options ?? [])].some((option) => option.selected !== option.defaultSelected);

if (preview.querySelector("[data-again]") || [...form.elements].some(isChanged)) {
  soon(1000);
}
