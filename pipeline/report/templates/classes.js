// The legend switches classes on and off: pixels of their colours become transparent.
"use strict";
for (const legend of document.querySelectorAll(".legend")) {
  const gallery = legend.closest(".gallery");
  const boxes = [...legend.querySelectorAll("input")];
  let turn = 0; // of several switches in a row the last one counts

  async function show() {
    const mine = ++turn;
    const hidden = new Set(boxes.filter((box) => !box.checked).map((box) => Number(box.value)));
    for (const picture of gallery.querySelectorAll(".picture")) {
      for (const name of ["--prediction", "--target", "--other"]) {
        picture.originals ??= {};
        picture.originals[name] ??= picture.style.getPropertyValue(name).trim();
        const original = picture.originals[name];
        if (!original) continue;
        const url = hidden.size ? await without(original, hidden) : original;
        if (mine !== turn) return;
        picture.style.setProperty(name, url);
      }
    }
    gallery.dataset.hidden = [...hidden].join(" ");
  }

  legend.addEventListener("change", show);
  for (const button of legend.querySelectorAll("button")) {
    button.addEventListener("click", () => {
      for (const box of boxes) box.checked = button.value === "all";
      show();
    });
  }
}

async function without(original, hidden) {
  const image = new Image();
  image.src = original.slice(original.indexOf("data:"), original.lastIndexOf(")")).replace(/["']$/, "");
  await image.decode();
  const canvas = document.createElement("canvas");
  canvas.width = image.naturalWidth;
  canvas.height = image.naturalHeight;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  const pixels = context.getImageData(0, 0, canvas.width, canvas.height);
  const data = pixels.data;
  for (let at = 0; at < data.length; at += 4) {
    if (hidden.has((data[at] << 16) | (data[at + 1] << 8) | data[at + 2])) data[at + 3] = 0;
  }
  context.putImageData(pixels, 0, 0);
  return `url("${canvas.toDataURL()}")`;
}
