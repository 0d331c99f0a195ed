/* On every page: the key "/" leads to the box that finds a number, and fields of Django's forms get the names that
   readers of screens miss, and no form is sent twice by a double click. */
"use strict";
{
  const typesText = (element) => element.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(element.tagName);

  document.addEventListener("keydown", (event) => {
    const box = document.getElementById("find-number");
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || !box || typesText(event.target)) {
      return;
    }
    event.preventDefault();
    box.focus();
    box.select();
  });

  /* The words beside a field, or at the head of its column. */
  const nameOf = (field) => {
    const cell = field.closest("td");
    const words =
      document.querySelector(`label[for="${field.id}"]`) ??
      (cell ? cell.closest("table").querySelectorAll("thead :is(th, td)")[cell.cellIndex] : null) ??
      field.closest(".form-row, fieldset")?.querySelector("label, legend");
    const text = words?.textContent.trim() || words?.querySelector("img")?.alt || "";
    return text.replace(/:$/, "");
  };

  const nameFields = () => {
    for (const field of document.querySelectorAll("#content :is(input, select, textarea)")) {
      const hasWords = [...(field.labels ?? [])].some((label) => label.textContent.trim());
      if (field.type !== "hidden" && !hasWords && !field.hasAttribute("aria-label") && !field.hasAttribute("aria-labelledby")) {
        field.setAttribute("aria-label", field.name.endsWith("-DELETE") ? "Delete" : nameOf(field));
      }
    }
    for (const field of document.querySelectorAll("select.select2-hidden-accessible")) {
      for (const part of field.parentElement.querySelectorAll(".select2-selection, .select2-selection [role=textbox]")) {
        part.removeAttribute("aria-labelledby");
        part.setAttribute("aria-label", nameOf(field));
      }
    }
  };

  /* A second click on a button that is at work is no second wish. The page that comes back from the history is new. */
  const sent = new WeakSet();
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.method !== "post" || event.defaultPrevented) {
      return;
    }
    if (sent.has(form)) {
      event.preventDefault();
      return;
    }
    sent.add(form);
    setTimeout(() => sent.delete(form), 5000);
  });
  addEventListener("pageshow", () => document.querySelectorAll("form").forEach((form) => sent.delete(form)));

  /* A head without words is none. */
  for (const head of document.querySelectorAll("#content thead th:empty")) {
    const cell = document.createElement("td");
    cell.className = head.className;
    head.replaceWith(cell);
  }

  /* Django's scripts make some of the fields, one by one. */
  const content = document.getElementById("content");
  nameFields();
  new MutationObserver(nameFields).observe(content, { childList: true, subtree: true });
}
