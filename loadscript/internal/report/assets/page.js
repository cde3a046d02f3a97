"use strict";
(() => {
  const root = document.documentElement;
  const data = JSON.parse(document.getElementById("data").textContent) || [];
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const plots = new Map(); // element -> uPlot
  const color = name => getComputedStyle(root).getPropertyValue("--" + name).trim();
  const fade = (c, a) => /^#[0-9a-f]{6}$/i.test(c) ? c + Math.round(a * 255).toString(16).padStart(2, "0") : c;

  const trim = s => s.includes(".") ? s.replace(/\.?0+$/, "") : s;
  const digits = v => v >= 99.95 ? v.toFixed(0) : v >= 9.995 ? v.toFixed(1) : v.toFixed(2);
  const latency = v => v == null ? "–" : v >= 1000 ? digits(v / 1e3) + " s" : v >= 1 ? digits(v) + " ms" : (v * 1e3).toFixed(0) + " µs";
  const latencyTick = v => v == null ? "" : v >= 1000 ? trim((v / 1e3).toFixed(1)) + " s" : v >= 1 ? trim(v.toFixed(1)) + " ms" : trim((v * 1e3).toFixed(1)) + " µs";
  const number = v => v == null ? "–" : v >= 1e6 ? trim((v / 1e6).toFixed(2)) + "M" : v >= 1e4 ? trim((v / 1e3).toFixed(1)) + "k" : v >= 100 ? v.toFixed(0) : trim(v.toFixed(2));
  const clock = v => {
    if (v == null) return "–";
    const s = Math.round(v * 10) / 10, h = Math.floor(s / 3600), m = Math.floor(s / 60) % 60, r = trim((s % 60).toFixed(1));
    return h ? `${h}h${String(m).padStart(2, "0")}m` + (s % 60 ? r + "s" : "") : m ? `${m}m` + (s % 60 ? r + "s" : "") : r + " s";
  };

  // Bands behind the plot: every second stage, the warm-up, and the names of the stages.
  const bands = d => ({hooks: {drawClear: [u => {
    const {ctx} = u, {left, top, width, height} = u.bbox, px = devicePixelRatio;
    const at = v => Math.min(Math.max(u.valToPos(v, "x", true), left), left + width);
    ctx.save();
    d.stages.forEach((s, i) => {
      const a = at(s.from), b = at(s.to);
      if (i % 2 == 0) { ctx.fillStyle = color("band"); ctx.fillRect(a, top, b - a, height); }
    });
    if (d.warmup > 0) {
      const b = at(d.warmup);
      ctx.strokeStyle = fade(color("soft"), .25); ctx.lineWidth = px;
      ctx.beginPath(); ctx.rect(left, top, b - left, height); ctx.clip(); ctx.beginPath();
      for (let x = left - height; x < b; x += 9 * px) { ctx.moveTo(x, top + height); ctx.lineTo(x + height, top); }
      ctx.stroke();
    }
    ctx.restore();
  }], draw: [u => {
    const {ctx} = u, {left, top, width} = u.bbox, px = devicePixelRatio;
    const at = v => Math.min(Math.max(u.valToPos(v, "x", true), left), left + width);
    ctx.save();
    ctx.font = `${11 * px}px system-ui,sans-serif`; ctx.fillStyle = color("soft"); ctx.textBaseline = "top"; ctx.textAlign = "left";
    const label = (text, a, b) => {
      const room = b - a - 8 * px;
      if (room < 14 * px) return;
      let t = text;
      while (t && ctx.measureText(t).width > room) t = t.slice(0, -1);
      if (t != text) t = t.length > 4 ? t.slice(0, -1) + "…" : "";
      ctx.fillText(t, a + 4 * px, top + 3 * px);
    };
    d.stages.forEach(s => label(s.name, at(s.from), at(s.to)));
    label("drain", at(d.end), left + width);
    ctx.restore();
  }]}});

  const column = (d, key) => (d.series.find(s => s.key == key) || {values: []}).values;
  const present = values => values.some(v => v != null);

  const axis = extra => Object.assign({stroke: color("soft"), grid: {stroke: color("grid"), width: 1}, ticks: {stroke: color("grid"), width: 1}, font: "12px system-ui,sans-serif"}, extra);
  const line = (label, c, value, extra) => Object.assign({label, stroke: color(c), width: 1.6, value: (u, v) => value(v), points: {show: false}}, extra);

  const time = (d, el, series, values, y, extra) => ({
    options: Object.assign({
      width: el.clientWidth, height: 250,
      cursor: {sync: {key: "s" + d.index}, focus: {prox: 24}, drag: {x: true, y: false}, points: {size: 6}},
      focus: {alpha: .35},
      scales: Object.assign({x: {time: false, range: (u, a, b) => [Math.min(0, a), Math.max(b, d.end)]}}, y.scales),
      axes: [axis({values: (u, ticks) => ticks.map(clock), space: 70})].concat(y.axes),
      series: [{label: "time", value: (u, v) => clock(v)}].concat(series),
      plugins: [bands(d)],
    }, extra),
    values: [d.t].concat(values),
  });
  const linear = (format, floor) => ({scales: {y: {range: (u, a, b) => [0, Math.max((b || 0) * 1.12, floor || 1)]}}, axes: [axis({values: (u, t) => t.map(format), size: 62})]});

  // Decades and, when there are few of them, their halves.
  const logRange = (u, a, b) => {
    if (a == null || b == null || !(a > 0)) return [.1, 10];
    const lo = Math.pow(10, Math.floor(Math.log10(a))), hi = Math.pow(10, Math.ceil(Math.log10(b * 1.05)));
    return [lo, hi > lo ? hi : lo * 10];
  };
  const decades = (u, splits) => splits.map(v => Math.abs(Math.log10(v) - Math.round(Math.log10(v))) < 1e-6 ? v : null);
  const logAxis = extra => axis(Object.assign({filter: decades, grid: {stroke: color("grid"), width: 1, filter: decades}, ticks: {stroke: color("grid"), width: 1, filter: decades}}, extra));
  const logarithmic = () => ({scales: {y: {distr: 3, log: 10, range: logRange}}, axes: [logAxis({values: (u, t) => t.map(v => v == null ? "" : latencyTick(v)), size: 62})]});

  const positive = values => values.map(v => v > 0 ? v : null);
  // A percentile needs 10/(1-p) samples; seconds with fewer are drawn by a companion line, dashed and pale.
  const percentiles = (d, el, prefix, counts) => {
    const n = column(d, counts), series = [], values = [];
    [["p50", "50", "q1", .5], ["p99", "99", "q2", .99], ["p99.9", "999", "q3", .999], ["max", "max", "q4", 1]].forEach(([label, suffix, c, q]) => {
      const all = positive(column(d, prefix == "p" && suffix == "max" ? "max" : prefix + suffix));
      const need = q < 1 ? 9.8 / (1 - q) : 1; // a little slack: a second at 1,000/s has 999 records now and then
      const strong = all.map((v, i) => n[i] >= need ? v : null);
      const weak = all.map((v, i) => v != null && !(n[i] >= need && n[i - 1] >= need && n[i + 1] >= need) ? v : null);
      const rare = !present(strong) && present(all);
      series.push(line(rare ? label + " (few samples)" : label, c, latency, {dash: q == 1 ? [2, 3] : undefined, width: q == 1 ? 1.2 : 1.8, spanGaps: false}));
      values.push(rare ? all : strong);
      if (rare) { const s = series[series.length - 1]; s.stroke = fade(color(c), .5); s.dash = [6, 4]; s.width = 1.2; }
      else if (present(weak)) { series.push(Object.assign(line(label, c, latency), {stroke: fade(color(c), .45), dash: [6, 4], width: 1.2, class: "quiet"})); values.push(weak); }
    });
    if (!values.some(present)) return null;
    return time(d, el, series, values, logarithmic());
  };

  const makers = {
    rate(d, el) {
      const series = [line("offered", "c", v => v == null ? "–" : number(v) + "/s", {dash: [6, 4], width: 1.6}), line("achieved", "a", v => v == null ? "–" : number(v) + "/s", {width: 2, fill: fade(color("a"), .09)})];
      const values = [column(d, "offered"), column(d, "acked")];
      if (d.reads) { series.push(line("consumed", "b", v => v == null ? "–" : number(v) + "/s")); values.push(column(d, "delivered")); }
      if (column(d, "errors").some(v => v > 0)) { series.push(line("errors, dropped", "d", v => v == null ? "–" : number(v) + "/s", {width: 2})); values.push(column(d, "errors")); }
      return time(d, el, series, values, linear(number));
    },
    produce: (d, el) => percentiles(d, el, "p", "n"),
    e2e: (d, el) => percentiles(d, el, "e", "en"),
    queues(d, el) {
      const series = [line("in flight", "a", number, {width: 2})], values = [column(d, "inflight")];
      if (d.reads) { series.push(line("lag", "k2", number, {width: 2})); values.push(column(d, "lag")); }
      return time(d, el, series, values, linear(number));
    },
    cpu(d, el) {
      const series = [line("generator", "a", v => v == null ? "–" : v.toFixed(2) + " cores", {width: 2})], values = [column(d, "gencpu")];
      if (present(column(d, "brokercpu"))) { series.push(line("broker", "k2", v => v == null ? "–" : v.toFixed(2) + " cores", {width: 2})); values.push(column(d, "brokercpu")); }
      return values.some(present) ? time(d, el, series, values, linear(number)) : null;
    },
    curve(d, el) {
      const curves = d.curves.filter(c => c.metric == el.dataset.metric && c.x.length > 1);
      if (!curves.length) return null;
      // Where fewer than ten samples lie beyond a point, the line is pale; its last point is at twice the number of samples.
      const series = [], tables = [];
      curves.forEach((c, i) => {
        const enough = c.x[c.x.length - 1] / 20, y = positive(c.y), k = "k" + (i % 8 + 1), at = c.x.findIndex(x => x > enough);
        series.push(line(c.stage, k, latency, {spanGaps: true, width: 2, dash: i >= 8 ? [6, 4] : undefined}));
        tables.push([c.x.slice(0, at), y.slice(0, at)]);
        series.push(Object.assign(line(c.stage, k, latency, {spanGaps: true}), {stroke: fade(color(k), .45), dash: [4, 4], width: 1.4, class: "quiet"}));
        tables.push([c.x.slice(Math.max(at - 1, 0)), y.slice(Math.max(at - 1, 0))]);
      });
      const joined = uPlot.join(tables);
      const name = v => { const nines = Math.round(Math.log10(v)); return nines == 0 ? "0" : nines == 1 ? "90%" : nines == 2 ? "99%" : "99." + "9".repeat(nines - 2) + "%"; };
      const last = Math.max(...curves.map(c => c.x[c.x.length - 1]));
      return {
        options: {
          width: el.clientWidth, height: 310, padding: [null, 26, null, null], cursor: {focus: {prox: 24}, points: {size: 6}, drag: {x: false, y: false}}, focus: {alpha: .3},
          scales: {x: {time: false, distr: 3, log: 10, range: () => [1, Math.pow(10, Math.max(2, Math.ceil(Math.log10(last))))]}, y: {distr: 3, log: 10, range: logRange}},
          axes: [logAxis({values: (u, t) => t.map(v => v == null ? "" : name(v))}), logarithmic().axes[0]],
          series: [{label: "percentile", value: (u, v) => v == null ? "–" : trim((100 * (1 - 1 / v)).toFixed(4)) + "%"}].concat(series),
        },
        values: joined,
      };
    },
  };

  const draw = (el, d) => {
    const old = plots.get(el);
    if (old) { old.destroy(); plots.delete(el); }
    el.textContent = "";
    const made = d.t && d.t.length > 1 || el.dataset.plot == "curve" ? makers[el.dataset.plot](d, el) : null;
    if (!made) { el.append(Object.assign(document.createElement("p"), {className: "empty", textContent: "nothing to draw"})); return; }
    plots.set(el, new uPlot(made.options, made.values, el));
  };
  const sections = () => [...document.querySelectorAll(".scenario[open]")];
  const drawAll = again => {
    sections().forEach(sec => {
      const d = Object.assign(data[sec.dataset.index], {index: sec.dataset.index});
      sec.querySelectorAll(".plot").forEach(el => { if (again || !plots.has(el)) draw(el, d); });
    });
    root.dataset.plots = plots.size;
  };
  const start = () => {
    drawAll(false);
    document.querySelectorAll(".scenario").forEach(sec => sec.addEventListener("toggle", () => drawAll(false)));
    dark.addEventListener("change", () => drawAll(true));
    addEventListener("resize", () => plots.forEach((u, el) => u.setSize({width: el.clientWidth, height: u.height})));
    root.dataset.ready = "yes";
  };
  addEventListener("error", e => { root.dataset.error = e.message; });
  addEventListener("securitypolicyviolation", e => { root.dataset.error = "blocked: " + e.violatedDirective; });
  try { start(); } catch (e) { root.dataset.error = String(e); throw e; }
})();
