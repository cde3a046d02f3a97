const frames = [...document.querySelectorAll(".f")];
const full = frames[0].dataset;
// Show stretches the part [x, x+w) over the whole width; what lies below it is its callers, which stay.
function show(x, w) {
  const scale = full.w / w;
  for (const f of frames) {
    const fx = +f.dataset.x, fw = +f.dataset.w;
    const left = Math.max(0, (fx - x) * scale), right = Math.min(full.w, (fx + fw - x) * scale);
    const seen = right - left > 0.3;
    f.style.display = seen ? "" : "none";
    if (!seen) continue;
    const [, rect, text] = f.children;
    rect.setAttribute("x", left);
    rect.setAttribute("width", right - left);
    text.setAttribute("x", left + 3);
    const room = Math.floor((right - left - 6) / 6.6), name = f.dataset.n;
    text.textContent = room < 3 ? "" : name.length > room ? name.slice(0, room - 1) + "…" : name;
  }
}
for (const f of frames) f.addEventListener("click", () => show(+f.dataset.x, +f.dataset.w));
document.getElementById("ground").addEventListener("click", () => show(0, +full.w));
