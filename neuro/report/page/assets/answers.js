"use strict";
// Which classes a model takes for which.
(() => {
  const { figures, el, ink, axis, titled, layout, draw } = neuro;
  const host = document.getElementById("answers-controls"), all = figures.answers;
  if (!host || !all.length) return;
  let shown = all[0];

  function build() {
    const c = ink(), n = shown.n_classes, classes = Array.from({ length: n }, (_, k) => k), few = n <= 20;
    const share = shown.matrix.map((row) => { const total = row.reduce((a, b) => a + b, 0); return row.map((x) => (total ? x / total : null)); });
    const data = [{ type: "heatmap", x: classes, y: classes, z: share, zmin: 0, zmax: 1, xgap: 2, ygap: 2, showscale: false,
      colorscale: [[0, c.wash], [1, c.series[0]]], customdata: shown.matrix, hoverongaps: false,
      hovertemplate: "class %{y} taken for %{x}: %{customdata} (%{z:.0%})<extra></extra>" }];
    const annotations = !few ? [] : shown.matrix.flatMap((row, y) => row.map((x, k) => x && { x: k, y, text: String(x), showarrow: false, font: { size: n > 12 ? 10 : 12.5, color: share[y][k] > 0.5 ? c.paper : c.ink } }).filter(Boolean));
    const ticks = few ? { tickvals: classes } : { nticks: 10 };
    return { data, layout: layout(Math.min(440, document.getElementById("confusion").clientWidth), { annotations, margin: { l: 8, r: 8, t: 8, b: 40 },
      xaxis: axis({ title: titled("answered class"), showgrid: false, constrain: "domain", ...ticks }),
      yaxis: axis({ title: titled("true class"), showgrid: false, autorange: "reversed", scaleanchor: "x", constrain: "domain", ...ticks }) }) };
  }

  function list() {
    const found = shown.matrix.flatMap((row, y) => row.map((n, x) => ({ y, x, n }))).filter((e) => e.n && e.x !== e.y).sort((p, q) => q.n - p.n);
    const total = shown.matrix.flat().reduce((a, b) => a + b, 0), wrong = found.reduce((a, e) => a + e.n, 0);
    const rows = found.slice(0, 8).map((e) => el("li", {}, el("span", {}, `${e.y} taken for ${e.x}`), el("span", {}, e.n)));
    document.getElementById("confusions").replaceChildren(el("h3", {}, `${wrong.toLocaleString("en")} of ${total.toLocaleString("en")} answers wrong`),
      el("ul", { class: "plain-list" }, ...rows), ...(found.length > 8 ? [el("p", { class: "note" }, `and ${found.length - 8} more kinds of mistake`)] : []));
  }

  const show = (k) => { shown = all[k]; list(); draw("confusion", build); };
  neuro.choice(host, "Model", all.map((a) => a.model), 0, show);
  show(0);
})();
