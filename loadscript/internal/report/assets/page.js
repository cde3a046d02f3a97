"use strict";
(() => {
  const root = document.documentElement;
  let data = [];
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const plots = new Map(); // element -> uPlot
  const color = name => getComputedStyle(root).getPropertyValue("--" + name).trim();
  const fade = (c, a) => /^#[0-9a-f]{6}$/i.test(c) ? c + Math.round(a * 255).toString(16).padStart(2, "0") : c;

  const trim = s => s.includes(".") ? s.replace(/\.?0+$/, "") : s;
  const digits = v => v >= 99.95 ? v.toFixed(0) : v >= 9.995 ? v.toFixed(1) : v.toFixed(2);
  const latency = v => v == null ? "–" : v >= 1000 ? digits(v / 1e3) + " s" : v >= 1 ? digits(v) + " ms" : (v * 1e3).toFixed(0) + " µs";
  const latencyTick = v => v == null ? "" : v >= 1000 ? trim((v / 1e3).toFixed(1)) + " s" : v >= 1 ? trim(v.toFixed(1)) + " ms" : trim((v * 1e3).toFixed(1)) + " µs";
  const bytes = v => {
    if (v == null) return "–";
    for (const u of ["B", "KiB", "MiB", "GiB"]) { if (v < 1024) return (u == "B" ? v.toFixed(0) : trim(v >= 99.95 ? v.toFixed(0) : v.toFixed(1))) + " " + u; v /= 1024; }
    return trim(v.toFixed(1)) + " TiB";
  };
  const cores = v => v == null ? "–" : v.toFixed(2) + " cores";
  const rate = v => v == null ? "–" : number(v) + "/s";
  const number = v => v == null ? "–" : v >= 1e6 ? trim((v / 1e6).toFixed(2)) + "M" : v >= 1e4 ? trim((v / 1e3).toFixed(1)) + "k" : v >= 100 ? v.toFixed(0) : trim(v.toFixed(2));
  const clock = v => {
    if (v == null) return "–";
    const s = Math.round(v * 10) / 10, h = Math.floor(s / 3600), m = Math.floor(s / 60) % 60, r = trim((s % 60).toFixed(1));
    return h ? `${h}h${String(m).padStart(2, "0")}m` + (s % 60 ? r + "s" : "") : m ? `${m}m` + (s % 60 ? r + "s" : "") : r + " s";
  };

  // Bands behind the plot: every second stage, the warm-up, and the names of the stages.
  const bands = (d, stages) => ({hooks: {drawClear: [u => {
    const {ctx} = u, {left, top, width, height} = u.bbox, px = devicePixelRatio;
    const at = v => Math.min(Math.max(u.valToPos(v, "x", true), left), left + width);
    ctx.save();
    d.stages.forEach((s, i) => {
      const a = at(s.from), b = at(s.to);
      if (i % 2 == 0) { ctx.fillStyle = color("band"); ctx.fillRect(a, top, b - a, height); }
    });
    // Faults: a tinted stretch between two lines.
    d.faults.forEach(f => {
      const a = at(f.from), b = Math.max(at(f.to), a + px);
      if (a >= left + width || b <= left) return;
      ctx.fillStyle = fade(color("fault"), .11); ctx.fillRect(a, top, b - a, height);
      ctx.fillStyle = fade(color("fault"), .8);
      ctx.fillRect(a, top, 1.5 * px, height); ctx.fillRect(b - px, top, px, height);
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
    const label = (text, a, b, down) => {
      const room = b - a - 8 * px;
      if (room < 14 * px) return;
      let t = text;
      while (t && ctx.measureText(t).width > room) t = t.slice(0, -1);
      if (t != text) t = t.length > 4 ? t.slice(0, -1) + "…" : "";
      const y = top + ((down || 0) + 3) * px;
      if (down) { // legible over lines
        const ink = ctx.fillStyle;
        ctx.fillStyle = fade(color("card"), .82); ctx.fillRect(a + 2 * px, y - px, ctx.measureText(t).width + 4 * px, 14 * px); ctx.fillStyle = ink;
      }
      ctx.fillText(t, a + 4 * px, y);
    };
    if (stages) {
      d.stages.forEach(s => label(s.name, at(s.from), at(s.to)));
      label("drain", at(d.end), left + width);
      // Names of faults in a second row, as far as the next one.
      ctx.fillStyle = color("fault"); ctx.font = `600 ${11 * px}px system-ui,sans-serif`;
      d.faults.forEach((f, i) => {
        if (at(f.to) <= left || at(f.from) >= left + width) return;
        const next = d.faults.slice(i + 1).find(g => g.from > f.from);
        label(f.name, at(f.from), next ? at(next.from) : left + width, 17);
      });
    }
    // Moments: small triangles on the time axis.
    ctx.fillStyle = color("soft");
    const {height} = u.bbox;
    d.marks.forEach(m => {
      const x = u.valToPos(m.at, "x", true);
      if (x < left || x > left + width) return;
      ctx.beginPath(); ctx.moveTo(x, top + height - 7 * px); ctx.lineTo(x + 4 * px, top + height); ctx.lineTo(x - 4 * px, top + height); ctx.fill();
    });
    ctx.restore();
  }]}});

  const column = (d, key) => (d.series.find(s => s.key == key) || {values: []}).values;
  const present = values => values.some(v => v != null);

  const axis = extra => Object.assign({stroke: color("soft"), grid: {stroke: color("grid"), width: 1}, ticks: {stroke: color("grid"), width: 1}, font: "12px system-ui,sans-serif"}, extra);
  const line = (label, c, value, extra) => Object.assign({label, stroke: color(c), width: 1.6, value: (u, v) => value(v), points: {show: false}}, extra);

  const spans = [.1, .2, .5, 1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400]; // ticks of time
  const time = (d, el, series, values, y, extra) => ({
    options: Object.assign({
      width: el.clientWidth, height: 215,
      cursor: {sync: {key: "s" + d.index}, focus: {prox: 24}, drag: {x: true, y: false}, points: {size: 6}},
      focus: {alpha: .35},
      scales: Object.assign({x: {time: false, range: (u, a, b) => a == d.t[0] && b == d.t[d.t.length - 1] ? [Math.min(0, a), Math.max(b, d.end)] : [a, b]}}, y.scales),
      axes: [axis({values: (u, ticks) => ticks.map(clock), incrs: spans, space: 70, size: 28, gap: 4})].concat(y.axes),
      series: [{label: "time", value: (u, v) => clock(v)}].concat(series),
      plugins: [bands(d, true)].concat((extra && extra.more) || []),
    }, extra),
    values: [d.t].concat(values),
  });
  const resource = (d, el, series, values, format, floor) => values.some(present) ? time(d, el, series, values, linear(format, floor), {height: 128, plugins: [bands(d, false)]}) : null;
  // One line per broker, and the generator's if it is known.
  const nodes = (d, keys, own, format) => {
    const series = [], values = [];
    if (own && present(column(d, own))) { series.push(line("generator", "c", format, {width: 1.6})); values.push(column(d, own)); }
    d.brokers.forEach((b, i) => keys.forEach(([key, suffix, dash]) => {
      const v = (b.series.find(s => s.key == key) || {values: []}).values;
      if (!present(v)) return;
      series.push(line(b.name + suffix, "k" + (i % 8 + 1), format, {width: 1.8, dash: dash})); values.push(v);
    }));
    return [series, values];
  };
  const powers = [...Array(45).keys()].map(i => 2 ** i); // ticks of sizes in bytes
  const linear = (format, floor) => ({scales: {y: {range: (u, a, b) => [0, Math.max((b || 0) * 1.15, floor || 1)]}}, axes: [axis(Object.assign({values: (u, t) => t.map(format), size: 68, space: 32}, format == bytes ? {incrs: powers} : {}))]});

  // Decades and, when there are few of them, their halves.
  const logRange = (u, a, b) => {
    if (a == null || b == null || !(a > 0)) return [.1, 10];
    const lo = Math.pow(10, Math.floor(Math.log10(a))), hi = Math.pow(10, Math.ceil(Math.log10(b * 1.05)));
    return [lo, hi > lo ? hi : lo * 10];
  };
  const decades = (u, splits) => splits.map(v => Math.abs(Math.log10(v) - Math.round(Math.log10(v))) < 1e-6 ? v : null);
  const logAxis = extra => axis(Object.assign({filter: decades, grid: {stroke: color("grid"), width: 1, filter: decades}, ticks: {stroke: color("grid"), width: 1, filter: decades}}, extra));
  const logarithmic = () => ({scales: {y: {distr: 3, log: 10, range: logRange}}, axes: [logAxis({values: (u, t) => t.map(v => v == null ? "" : latencyTick(v)), size: 68})]});

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

  // n colors from --h0 over --h1 to --h2.
  const shadesOf = n => {
    const stops = ["h0", "h1", "h2"].map(k => [1, 3, 5].map(i => parseInt(color(k).slice(i, i + 2), 16)));
    return Array.from({length: n}, (_, i) => {
      const x = i / (n - 1) * 2, k = Math.min(Math.floor(x), 1), f = x - k;
      return "rgb(" + [0, 1, 2].map(j => Math.round(stops[k][j] + (stops[k + 1][j] - stops[k][j]) * f)).join(",") + ")";
    });
  };

  const makers = {
    rate(d, el) {
      const series = [line("offered", "c", v => v == null ? "–" : number(v) + "/s", {dash: [6, 4], width: 1.6}), line("achieved", "a", v => v == null ? "–" : number(v) + "/s", {width: 2, fill: fade(color("a"), .09)})];
      const values = [column(d, "offered"), column(d, "acked")];
      if (d.reads) { series.push(line("consumed", "b", v => v == null ? "–" : number(v) + "/s")); values.push(column(d, "delivered")); }
      [["errors", "errors", "d"], ["dropped", "dropped", "k5"]].forEach(([key, name, c]) => {
        const v = column(d, key);
        if (!v.some(v => v > 0)) return;
        series.push(line(name, c, rate, {width: 2}));
        values.push(v.map((n, i) => n > 0 || v[i - 1] > 0 || v[i + 1] > 0 ? n : null)); // no line along the axis
      });
      return time(d, el, series, values, linear(number));
    },
    produce: (d, el) => percentiles(d, el, "p", "n"),
    e2e: (d, el) => percentiles(d, el, "e", "en"),
    lag(d, el) {
      const series = [], values = [];
      d.lags.forEach((g, i) => { series.push(line(g.key, "k" + (i % 8 + 1), number, {width: 1.8})); values.push(g.values); });
      if (!series.length) { series.push(line("lag", "k2", number, {width: 2})); values.push(column(d, "lag")); }
      return resource(d, el, series, values, number);
    },
    inflight: (d, el) => resource(d, el, [line("in flight", "a", number, {width: 1.8, fill: fade(color("a"), .09)})], [column(d, "inflight")], number),
    cpu(d, el) {
      const [series, values] = nodes(d, [["cpu", ""]], "gencpu", cores);
      if (!d.brokers.length && present(column(d, "brokercpu"))) { series.push(line("broker", "k1", cores, {width: 1.8})); values.push(column(d, "brokercpu")); }
      return resource(d, el, series, values, number, .1);
    },
    memory: (d, el) => resource(d, el, ...nodes(d, [["rss", ""]], "genrss", bytes), bytes),
    disk: (d, el) => resource(d, el, ...nodes(d, [["write", " write"], ["read", " read", [5, 4]]], "", v => v == null ? "–" : bytes(v) + "/s"), bytes, 1024),
    net: (d, el) => resource(d, el, ...nodes(d, [["in", " in"], ["out", " out", [5, 4]]], "", v => v == null ? "–" : bytes(v) + "/s"), bytes, 1024),
    heat(d, el) {
      const h = d.heat;
      if (!h) return null;
      const rows = h.edges.length - 1, columns = h.counts.length / rows;
      let lo = rows, hi = -1, most = 1;
      h.counts.forEach((n, i) => { if (n) { lo = Math.min(lo, i % rows); hi = Math.max(hi, i % rows); most = Math.max(most, n); } });
      if (hi < 0) return null;
      const edge = i => h.edges[i] > 0 ? h.edges[i] : h.edges[1] / 2;
      const shades = shadesOf(64), shade = n => shades[Math.round(Math.log(1 + n) / Math.log(1 + most) * 63)];
      const cells = u => {
        const {ctx} = u, {left, top, width, height} = u.bbox;
        ctx.save(); ctx.beginPath(); ctx.rect(left, top, width, height); ctx.clip();
        for (let c = 0; c < columns; c++) {
          const a = Math.round(u.valToPos(c * h.width, "x", true)), b = Math.max(Math.round(u.valToPos((c + 1) * h.width, "x", true)), a + 1);
          if (b < left || a > left + width) continue;
          for (let r = lo; r <= hi; r++) {
            const n = h.counts[c * rows + r];
            if (!n) continue;
            const y = Math.round(u.valToPos(edge(r + 1), "y", true)), z = Math.round(u.valToPos(edge(r), "y", true));
            ctx.fillStyle = shade(n); ctx.fillRect(a, y, b - a, Math.max(z - y, 1));
          }
        }
        ctx.restore();
      };
      const read = u => {
        const out = el.parentElement.querySelector(".readout");
        if (u.cursor.left < 0) { out.textContent = ""; return; }
        const t = u.posToVal(u.cursor.left, "x"), y = u.posToVal(u.cursor.top, "y"), c = Math.floor(t / h.width);
        let r = lo; while (r < hi && edge(r + 1) <= y) r++;
        const n = h.counts[c * rows + r];
        out.textContent = n == null ? "" : `${clock(c * h.width)}, ${latency(edge(r))} to ${latency(edge(r + 1))}: ${n.toLocaleString("en")} records`;
      };
      const y = logarithmic();
      y.scales.y.range = () => [edge(lo), edge(hi + 1)];
      const made = time(d, el, [{label: "latency", stroke: "transparent", points: {show: false}}], [d.t.map(() => edge(lo))], y, {
        height: 190, legend: {show: false}, plugins: [bands(d, false), {hooks: {drawAxes: [cells], setCursor: [read]}}],
      });
      made.options.cursor.points = {show: false};
      return made;
    },
    silences(d, el) {
      const lanes = [...new Set(d.silences.map(s => s.name))];
      if (!lanes.length) return null;
      const one = new Set(lanes.map(l => l.slice(0, l.lastIndexOf("/")))).size == 1; // then the topic goes without saying
      const bars = u => {
        const {ctx} = u, {left, top, width, height} = u.bbox, px = devicePixelRatio;
        ctx.save(); ctx.beginPath(); ctx.rect(left, top, width, height); ctx.clip();
        ctx.fillStyle = color("d");
        d.silences.forEach(s => {
          const i = lanes.indexOf(s.name), a = u.valToPos(s.from, "x", true), b = Math.max(u.valToPos(s.to, "x", true), a + 2 * px);
          const y = u.valToPos(i + .14, "y", true), z = u.valToPos(i + .86, "y", true);
          ctx.fillRect(a, y, b - a, z - y);
        });
        ctx.restore();
      };
      const read = u => {
        const out = el.parentElement.querySelector(".readout"), t = u.cursor.left < 0 ? -1 : u.posToVal(u.cursor.left, "x");
        const name = lanes[Math.floor(u.posToVal(u.cursor.top, "y"))];
        const s = d.silences.find(s => s.name == name && s.from <= t && t <= s.to);
        out.textContent = s ? `${s.name}: silent for ${latency((s.to - s.from) * 1e3)} from ${clock(s.from)}` : d.hidden ? `and ${d.hidden} more partitions with shorter silences` : "";
      };
      const y = {scales: {y: {dir: -1, range: () => [0, lanes.length]}}, axes: [axis({size: 68, splits: () => lanes.map((l, i) => i + .5), values: () => lanes.map(l => one ? "partition " + l.slice(l.lastIndexOf("/") + 1) : l.length > 11 ? "…" + l.slice(-10) : l), font: "11px system-ui,sans-serif", grid: {show: false}, ticks: {show: false}})]};
      const made = time(d, el, [{label: "silence", stroke: "transparent", points: {show: false}}], [d.t.map(() => 0)], y, {
        height: 44 + 17 * lanes.length, legend: {show: false}, plugins: [bands(d, false), {hooks: {draw: [bars], setCursor: [read]}}],
      });
      made.options.cursor.points = {show: false};
      return made;
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
          width: el.clientWidth, height: 310, padding: [null, 40, null, null], cursor: {focus: {prox: 24}, points: {size: 6}, drag: {x: false, y: false}}, focus: {alpha: .3},
          scales: {x: {time: false, distr: 3, log: 10, range: () => [1, Math.pow(10, Math.max(2, Math.ceil(Math.log10(last))))]}, y: {distr: 3, log: 10, range: logRange}},
          axes: [logAxis({values: (u, t) => t.map(v => v == null ? "" : name(v)), size: 28, gap: 4}), logarithmic().axes[0]],
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
    const u = new uPlot(made.options, made.values, el);
    plots.set(el, u);
    // The legend's entries switch lines on and off: also from the keyboard.
    el.querySelectorAll(".u-legend .u-series").forEach((row, i) => {
      if (i == 0 || row.classList.contains("quiet")) return;
      row.tabIndex = 0;
      row.addEventListener("keydown", e => { if (e.key == "Enter" || e.key == " ") { e.preventDefault(); e.stopPropagation(); u.setSeries(i, {show: !u.series[i].show}); } });
    });
  };
  // Keys on a plot: arrows move the cursor (with shift by ten), Escape zooms out.
  const keys = e => {
    const el = e.currentTarget, u = plots.get(el);
    if (!u || e.target != el) return;
    const step = {ArrowLeft: -1, ArrowRight: 1}[e.key] * (e.shiftKey ? 10 : 1);
    if (step) {
      const t = u.data[0], at = u.cursor.idx == null ? -1 : u.cursor.idx, i = Math.min(Math.max(at + step, 0), t.length - 1);
      u.setCursor({left: u.valToPos(t[i], "x"), top: Math.max(u.cursor.top, 10)}, true, true);
      document.querySelector(".live").textContent = [...el.querySelectorAll(".u-legend .u-series:not(.quiet)")].map(s => s.querySelector(".u-label").textContent + " " + s.querySelector(".u-value").textContent).join(", ");
    } else if (e.key == "Escape") {
      const sec = el.closest(".scenario");
      sec.querySelectorAll(".timeline .plot").forEach(p => { const v = plots.get(p); if (v) v.setData(v.data); });
    } else return;
    e.preventDefault();
  };
  const sections = () => [...document.querySelectorAll(".scenario[open]")];
  const drawAll = again => {
    sections().forEach(sec => {
      const d = Object.assign(data[sec.dataset.index], {index: sec.dataset.index});
      sec.querySelectorAll(".plot").forEach(el => { if (again || !plots.has(el)) draw(el, d); });
    });
    root.dataset.plots = plots.size;
  };
  // The data is JSON, gzipped, in base64 of the URL alphabet.
  const unpack = async () => {
    const packed = atob(document.getElementById("data").dataset.packed.replace(/-/g, "+").replace(/_/g, "/"));
    const raw = new Blob([Uint8Array.from(packed, c => c.charCodeAt(0))]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(raw).text()) || [];
  };
  const start = async () => {
    data = await unpack();
    drawAll(false);
    document.querySelectorAll(".plot").forEach(el => el.addEventListener("keydown", keys));
    document.querySelectorAll(".scenario").forEach(sec => sec.addEventListener("toggle", () => drawAll(false)));
    dark.addEventListener("change", () => drawAll(true));
    addEventListener("resize", () => plots.forEach((u, el) => u.setSize({width: el.clientWidth, height: u.height})));
    root.dataset.ready = "yes";
  };
  addEventListener("error", e => { root.dataset.error = e.message; });
  addEventListener("securitypolicyviolation", e => { root.dataset.error = "blocked: " + e.violatedDirective; });
  start().catch(e => {
    root.dataset.error = String(e);
    document.querySelectorAll(".plot").forEach(el => { el.textContent = "This browser cannot draw the plots: " + e; });
  });
})();
