"use strict";
// How runs went: accuracy, loss and rate over iterations.
(() => {
  const { figures, ink, axis, titled, layout, draw, legend, notes } = neuro;
  const runs = figures.training;
  if (!runs.length || !document.getElementById("training-chart")) return;
  const panels = [["accuracy", "accuracy", { tickformat: ".0%" }], ["loss", "loss", {}], ["rate_hz", "mean rate (Hz)", { rangemode: "tozero" }]]
    .filter(([key]) => runs.some((r) => r.steps[key] || r.validation[key]));

  function lines(run, k, key, id) {
    const colour = ink().series[k % 6], found = [], name = neuro.plain(neuro.short(run.name));
    const base = { type: "scatter", xaxis: "x", yaxis: id };
    if (run.steps[key]) found.push({ ...base, mode: "lines", x: run.steps[key].iteration, y: run.steps[key].value, line: { width: 1, color: colour }, opacity: run.validation[key] ? 0.45 : 1, hovertemplate: `${name}: %{y:.4g}<br>iteration %{x:.0f}<extra></extra>` });
    if (run.validation[key]) found.push({ ...base, mode: "lines+markers", x: run.validation[key].iteration, y: run.validation[key].value, line: { width: 1.6, color: colour }, marker: { size: 5 }, hovertemplate: `${name}, validation: %{y:.4g}<br>iteration %{x:.0f}<extra></extra>` });
    return found;
  }

  function build() {
    const c = ink(), each = 150, gap = 34, head = neuro.coarse() ? 52 : 22, inner = panels.length * each + (panels.length - 1) * gap, [low, high] = figures.band;
    const l = layout(inner + head + 44, { margin: { l: 52, r: 12, t: head, b: 44 }, shapes: [], annotations: [], xaxis: axis({ title: titled("iteration"), tickformat: ",d", automargin: false, rangemode: "tozero", anchor: "y" + (panels.length > 1 ? panels.length : "") }) });
    const data = [];
    panels.forEach(([key, title, more], k) => {
      const id = "y" + (k ? k + 1 : ""), top = 1 - (k * (each + gap)) / inner;
      l["yaxis" + (k ? k + 1 : "")] = axis({ domain: [Math.max(top - each / inner, 0), top], automargin: false, nticks: 5, ...more });
      l.annotations.push({ xref: "paper", yref: "paper", x: 0, y: top, xanchor: "left", yanchor: "bottom", showarrow: false, text: title, font: { size: 12.5, color: c.quiet } });
      if (key === "rate_hz") l.shapes.push({ type: "rect", xref: "paper", x0: 0, x1: 1, yref: id, y0: low, y1: high, fillcolor: c.band, line: { width: 0 }, layer: "below" });
      runs.forEach((run, r) => data.push(...lines(run, r, key, id)));
    });
    return { data, layout: l };
  }

  const show = () => legend("training-legend", runs.map((r, k) => [r.name, ink().series[k % 6], true]));
  show();
  const means = runs.flatMap((r) => Object.values(r.steps)).map((s) => s.n_each).filter((n) => n > 1);
  notes("training-notes", [means.length ? `Each point of a thin line is the mean of up to ${Math.max(...means)} iterations.` : "", panels.some(([k]) => k === "rate_hz") ? `Shaded: ${figures.band[0]} to ${figures.band[1]} Hz.` : ""]);
  draw("training-chart", () => { show(); return build(); });
})();
