"use strict";
// Says in words what the chosen crontab means.
{
  const crontabs = JSON.parse(document.getElementById("readable-crontabs").textContent);
  const choice = document.getElementById("id_crontab");
  document.querySelector(".field-crontab_translation")?.classList.add("hidden");
  choice?.addEventListener("change", () => {
    const help = document.querySelector(".field-crontab .help");
    if (help) help.textContent = crontabs[choice.value] || "";
  });
}
