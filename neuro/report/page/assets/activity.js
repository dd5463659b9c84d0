"use strict";
// How active neurons are: rates against the band of sparse activity, intervals, coefficients of variation. Chooses the raster's model, too.
(() => {
  const { figures, el, ink, axis, titled, layout, draw } = neuro;
  const host = document.getElementById("activity-controls");
  if (!host) return;
  const names = [...new Set([...figures.samples.map((s) => s.model), ...figures.activity.map((a) => a.model)])];
  let shown = null;

  function bars(histogram, what, more) {
    const { edges, counts } = histogram, width = edges.slice(1).map((e, k) => e - edges[k]), middle = width.map((w, k) => edges[k] + w / 2);
    const data = Object.entries(counts).map(([name, n], k) => ({
      type: "bar", x: middle, y: n, width, marker: { color: ink().series[k % 6], line: { width: 0 } },
      customdata: edges.slice(0, -1).map((e, i) => [e, edges[i + 1]]),
      hovertemplate: `${neuro.plain(neuro.short(name))}: %{y} ${what}<br>%{customdata[0]:.3~g} to %{customdata[1]:.3~g} ${more.unit}<extra></extra>`,
    }));
    const l = layout(220, { barmode: "stack", bargap: 0.06, xaxis: axis({ showgrid: false, title: titled(more.title), ...more.axis }), yaxis: axis({ title: titled(what), nticks: 5 }), shapes: more.shapes ?? [], annotations: more.annotations ?? [], margin: { l: 8, r: 8, t: 20, b: 40 } });
    return { data, layout: l };
  }

  function rates() {
    const c = ink(), [low, high] = figures.band;
    return bars(shown.rates, "neurons", { unit: "Hz", title: "mean rate (Hz)",
      shapes: [{ type: "rect", xref: "x", yref: "paper", x0: low, x1: high, y0: 0, y1: 1, fillcolor: c.band, line: { width: 0 }, layer: "below" }],
      annotations: [{ x: (low + high) / 2, y: 1, xref: "x", yref: "paper", yanchor: "bottom", text: `${low} to ${high} Hz`, showarrow: false, font: { size: 11.5, color: c.good } }] });
  }

  function intervals() {
    const { edges, counts } = shown.intervals, log = edges.map((e) => Math.log10(e));
    const made = bars({ edges: log, counts }, "intervals", { unit: "ms", title: "interval (ms)", axis: ticks(log[0], log[log.length - 1]) });
    made.data.forEach((t) => { t.customdata = edges.slice(0, -1).map((e, k) => [e, edges[k + 1]]); });
    return made;
  }

  function ticks(first, last) {
    const tickvals = [], ticktext = [];
    for (let d = Math.floor(first); d <= last; d++) for (const m of [1, 3]) {
      const v = m * 10 ** d;
      if (Math.log10(v) >= first && Math.log10(v) <= last) { tickvals.push(Math.log10(v)); ticktext.push(v.toLocaleString("en")); }
    }
    return { tickvals, ticktext };
  }

  function cv() {
    const c = ink(), line = { type: "line", x0: 1, x1: 1, yref: "paper", y0: 0, y1: 1, line: { color: c.quiet, width: 1, dash: "4px,3px" } };
    return bars(shown.cv, "neurons", { unit: "", title: "coefficient of variation", shapes: [line],
      annotations: [{ x: 1, y: 1, yref: "paper", yanchor: "bottom", text: "Poisson", showarrow: false, font: { size: 11.5, color: c.quiet } }] });
  }

  const say = (id, text) => document.getElementById(id)?.replaceChildren(text);

  function show(k) {
    neuro.raster.show(names[k]);
    shown = figures.activity.find((a) => a.model === names[k]) ?? null;
    for (const node of document.querySelectorAll("#activity .trio")) node.hidden = !shown;
    if (!shown) return;
    const s = shown.n_samples === 1 ? "1 sample" : `${shown.n_samples} samples`;
    say("rates-caption", `${shown.in_band} of ${shown.n_neurons} neurons in the band, ${shown.n_silent} silent, over ${s} of ${shown.duration_ms.toLocaleString("en")} ms.`);
    say("intervals-caption", shown.median_interval_ms === null ? "No neuron spiked twice in a sample."
      : `Median ${Number(shown.median_interval_ms.toPrecision(3))} ms. Samples end after ${shown.duration_ms.toLocaleString("en")} ms, so longer intervals are not seen.`);
    say("cv-caption", `${shown.n_cv} of ${shown.n_neurons} neurons have the two intervals that a coefficient needs. 0: a clock; 1: chance.`);
    draw("rates", rates);
    draw("intervals", intervals);
    draw("cv", cv);
  }

  neuro.choice(host, "Model", names, 0, show);
  host.append(el("span", { id: "neuron-controls", class: "choice" }));
  show(0);
})();
