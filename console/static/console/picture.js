/* Beside each chart that can be had as SVG, a button makes a PNG of it: for a slide, or a message. */
"use strict";

const SCALE = 2;

async function picture(address) {
  const response = await fetch(address, { credentials: "same-origin", redirect: "error" });
  const svg = new DOMParser().parseFromString(await response.text(), "image/svg+xml").documentElement;
  const { width, height } = svg.viewBox.baseVal;
  svg.setAttribute("width", width * SCALE);
  svg.setAttribute("height", height * SCALE);
  const image = new Image();
  image.src = "data:image/svg+xml," + encodeURIComponent(new XMLSerializer().serializeToString(svg));
  await image.decode();
  const canvas = document.createElement("canvas");
  canvas.width = width * SCALE;
  canvas.height = height * SCALE;
  const drawing = canvas.getContext("2d");
  drawing.fillStyle = "white";
  drawing.fillRect(0, 0, canvas.width, canvas.height);
  drawing.drawImage(image, 0, 0, canvas.width, canvas.height);
  return canvas.toDataURL("image/png");
}

function addButton(link) {
  const button = document.createElement("button");
  button.type = "button";
  button.append("PNG", ...[...link.children].map((child) => child.cloneNode(true)));
  button.addEventListener("click", async () => {
    const saved = document.createElement("a");
    saved.href = await picture(link.href);
    saved.download = link.pathname.split("/").pop().replace(".svg", ".png");
    saved.click();
  });
  link.after(" ", button);
}

document.querySelectorAll('.console a[href$=".svg"], .console a[href*=".svg?"]').forEach(addButton);
