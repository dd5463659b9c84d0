"use strict";
// A network's connections, of a run before and after rewiring.
(() => {
  const { figures, el, plain, ink, axis, titled, layout, draw, notes } = neuro;
  const host = document.getElementById("connectivity-controls"), all = figures.connectivity;
  if (!host || !all.length) return;
  let shown = all[0];

  const edges = (bands, per) => { let at = 0; return bands.map(([name, size]) => { const first = at; at += size; return { name, first: first / per, last: at / per, size }; }); };

  function matrix(side) {
    const m = side.matrix, c = ink(), levels = (m.levels ??= new Int8Array(neuro.bytes(m.data).buffer)), z = [];
    for (let r = 0; r < m.n_rows; r++) z.push(Array.from(levels.subarray(r * m.n_columns, (r + 1) * m.n_columns), (x) => Math.sign(x) * (0.25 + 0.75 * Math.sqrt(Math.abs(x) / 127))));
    const columns = edges(m.senders, m.per_cell), rows = edges(m.receivers, m.per_cell);
    const line = (more) => ({ type: "line", line: { color: c.quiet, width: 0.8 }, ...more });
    const shapes = [...columns.slice(1).map((b) => line({ x0: b.first - 0.5, x1: b.first - 0.5, y0: -0.5, y1: m.n_rows - 0.5 })), ...rows.slice(1).map((b) => line({ y0: b.first - 0.5, y1: b.first - 0.5, x0: -0.5, x1: m.n_columns - 0.5 }))];
    const centre = (b) => (b.first + b.last - 1) / 2, name = (b) => plain(neuro.short(b.name, 9));
    const wide = (b, total) => (b.last - b.first) / total > 0.035;
    const data = [{ type: "heatmap", z, zmin: -1, zmax: 1, showscale: false, hoverinfo: "none", colorscale: [[0, c.series[1]], [0.5, c.wash], [1, c.series[0]]] }];
    const width = document.getElementById("matrices").clientWidth / (shown.sides.length > 1 && !neuro.narrow() ? 2 : 1);
    const height = Math.min(Math.max(((width - 70) * m.n_rows) / m.n_columns, 90), 460) + 40;
    return { data, layout: layout(height, { shapes, margin: { l: 8, r: 8, t: 4, b: 34 },
      xaxis: axis({ side: "bottom", showgrid: false, ticklabelstandoff: 4, range: [-0.5, m.n_columns - 0.5], tickvals: columns.filter((b) => wide(b, m.n_columns)).map(centre), ticktext: columns.filter((b) => wide(b, m.n_columns)).map(name) }),
      yaxis: axis({ showgrid: false, ticklabelstandoff: 4, range: [m.n_rows - 0.5, -0.5], tickvals: rows.filter((b) => wide(b, m.n_rows)).map(centre), ticktext: rows.filter((b) => wide(b, m.n_rows)).map(name) }) }) };
  }

  function tell(side, point) {
    const m = side.matrix, find = (bands, k) => { const b = edges(bands, m.per_cell).find((e) => k < e.last); return `${b.name} ${Math.round((k - b.first) * m.per_cell)}`; };
    const weight = ((m.levels[point.y * m.n_columns + point.x] / 127) * m.most).toPrecision(3);
    document.getElementById("matrix-readout").value = `${side.name ? side.name + ": " : ""}${find(m.senders, point.x)} to ${find(m.receivers, point.y)}, ${Number(weight) ? `weight ${weight}` : "not connected"}`;
  }

  function histogram(key, edgeKey, x, y) {
    return () => {
      const c = ink(), e = shown[edgeKey], two = shown.sides.length > 1;
      const data = shown.sides.map((side, k) => ({ type: "scatter", mode: "lines", x: e.flatMap((v) => [v, v]), y: [0, ...side[key].flatMap((n) => [n, n]), 0],
        line: { width: 1.6, color: two && !k ? c.grey : c.series[0], dash: two && !k ? "5px,3px" : "solid" }, fill: two && !k ? "none" : "tozeroy", fillcolor: c.tint,
        hovertemplate: `${plain(side.name || y)}: %{y}<br>%{x:.4g}<extra></extra>` }));
      return { data, layout: layout(220, { xaxis: axis({ title: titled(x), showgrid: false }), yaxis: axis({ title: titled(y), rangemode: "tozero", nticks: 5 }), margin: { l: 8, r: 8, t: 8, b: 40 } }) };
    };
  }

  function show(k) {
    shown = all[k];
    const grid = document.getElementById("matrices");
    grid.classList.toggle("even", shown.sides.length > 1);
    grid.style.gridTemplateColumns = shown.sides.length > 1 ? "" : "minmax(0, 1fr)";
    grid.replaceChildren(...shown.sides.map((s, i) => el("figure", {}, el("h3", {}, `${s.name ? s.name + ": " : ""}${s.n_synapses.toLocaleString("en")} synapses, ${(100 * s.density).toFixed(1)} % of all pairs`),
      el("div", { class: "chart", id: `matrix-${i}`, role: "img", "aria-label": `Connections ${s.name}` }))));
    shown.sides.forEach((s, i) => draw(`matrix-${i}`, () => matrix(s)).on("plotly_hover", (e) => tell(s, e.points[0])));
    const per = shown.sides[0].matrix.per_cell, kept = shown.n_kept;
    notes("connectivity-notes", ["Blue: excites; orange: inhibits.", per > 1 ? `Each cell sums ${per} x ${per} pairs.` : "",
      kept === null ? "" : `${kept.toLocaleString("en")} of ${shown.n_pairs[1].toLocaleString("en")} connected pairs were connected before, ${(shown.n_pairs[1] - kept).toLocaleString("en")} are new, ${(shown.n_pairs[0] - kept).toLocaleString("en")} are gone. After: the weights of the best validation. Histograms: broken before, filled after.`]);
    draw("weights", histogram("weights", "weight_edges", "weight", "synapses"));
    draw("fan-in", histogram("fan_in", "fan_in_edges", "synapses into a neuron", "neurons"));
  }

  neuro.choice(host, "Network", all.map((n) => n.name), 0, show);
  show(0);
})();
