/* The key "/" leads to the box that finds a number, unless somebody types text. */
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
}
