/* Replace the live part of a page every few seconds, while somebody looks at it and does not hold it still. Where that
   fails, say so: old figures that look like new ones are worse than none. */
"use strict";

const live = document.getElementById("live");
const pace = document.getElementById("pace");
const stale = document.getElementById("stale");
const AWAY = "The server does not respond. What you see is as old as the page says below; it is fetched again and again.";
const ENDED = "Your session has ended, or your rights have changed. Load the page again to sign in: nothing here is fresh.";

/* Not every browser focuses the button that is pressed, and one that is replaced meanwhile is not clicked. */
const isUsed = () => live.matches(":focus-within, :active");

function tell(sentence) {
  if (stale.textContent !== sentence) {
    stale.textContent = sentence;
    stale.hidden = !sentence;
  }
}

async function refresh() {
  if (document.hidden || pace.value === "" || isUsed()) {
    return;
  }
  /* To the sign-in the server redirects. */
  const response = await fetch(live.dataset.source, { credentials: "same-origin", redirect: "manual" });
  if (response.type === "opaqueredirect" || (response.status >= 400 && response.status < 500)) {
    tell(ENDED);
  } else if (!response.ok) {
    tell(AWAY);
  } else {
    const fresh = await response.text();
    tell("");
    if (!isUsed() && pace.value !== "") {
      live.innerHTML = fresh;
    }
  }
}

let timer;

async function keepFresh() {
  clearTimeout(timer);
  try {
    await refresh();
  } catch {
    tell(AWAY);
  }
  clearTimeout(timer);
  timer = setTimeout(keepFresh, 1000 * (pace.value || 2));
}

timer = setTimeout(keepFresh, 1000 * (pace.value || 2));
pace.addEventListener("change", keepFresh);
document.addEventListener("visibilitychange", keepFresh);
