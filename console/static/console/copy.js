/* Above each text that is there to be copied, a button does it. */
"use strict";

/* Browsers give the clipboard to pages over TLS alone; what is selected can be copied anywhere. */
async function copied(text) {
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(text.textContent);
    return true;
  }
  text.closest("details").open = true;
  getSelection().selectAllChildren(text);
  return document.execCommand("copy");
}

for (const text of document.querySelectorAll(".console .as-text pre")) {
  const button = document.createElement("button");
  const told = document.createElement("span");
  button.type = "button";
  button.textContent = "Copy as text";
  told.setAttribute("role", "status");
  button.addEventListener("click", async () => {
    const isDone = await copied(text).catch(() => false);
    told.textContent = isDone ? "Copied." : "Your browser did not allow it: the text is below.";
    text.closest("details").open ||= !isDone;
  });
  const line = document.createElement("p");
  line.append(button, " ", told);
  text.closest("details").before(line);
}
