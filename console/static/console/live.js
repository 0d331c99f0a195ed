/* Replace the live part of "Now" every two seconds, while somebody looks at it and does not hold it still. */
"use strict";

const SECONDS = 2;
const live = document.getElementById("live");
const hold = document.getElementById("hold");

async function refresh() {
  const isUsed = live.contains(document.activeElement);
  if (document.hidden || hold.checked || isUsed) {
    return;
  }
  const response = await fetch(live.dataset.source, { credentials: "same-origin", redirect: "error" });
  if (response.ok) {
    live.innerHTML = await response.text();
  }
}

async function keepFresh() {
  try {
    await refresh();
  } catch {
    // The server is away, or the session has ended: "As of" tells how old the page is.
  }
  setTimeout(keepFresh, SECONDS * 1000);
}

setTimeout(keepFresh, SECONDS * 1000);
