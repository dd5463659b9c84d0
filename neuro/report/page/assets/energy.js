"use strict";
// Energy of an inference on the chosen device: dynamic parts stacked with their range; static and host beside them; the spread over samples.
neuro.energy = (() => {
  const { figures, plain, ink, axis, titled, layout, draw, si } = neuro;
  const energy = figures.energy;
  if (!energy) return { first: null };
  const n = energy.devices.map((d) => d.models.filter((m) => !m.refused).length);
  let device = n.indexOf(Math.max(...n)); // the one that prices most models

  const colours = () => { const c = ink(), s = c.series; return { synaptic: s[0], neuron: s[4], routing: s[2], learning: s[3], static: c.grey, host: c.pale }; };
  // A model keeps its row on every device, priced or not: a switch then moves bars, not names.
  const rows = () => energy.devices[device].models;
  const priced = () => rows().filter((m) => !m.refused);
  const joules = { tickformat: "~s", ticksuffix: "J", rangemode: "tozero", nticks: 6 };

  const row = (m) => rows().indexOf(m);
  function names() {
    const most = neuro.narrow() ? 14 : 22;
    return axis({ tickvals: rows().map((_, k) => k), ticktext: rows().map((m) => plain(neuro.short(m.model, most))), range: [rows().length - 0.5, -0.5], ticklabelstandoff: 6, showgrid: false, fixedrange: true, tickfont: { size: 12.5, color: ink().ink } });
  }
  const height = (each) => 52 + each * rows().length;
  const blanks = () => rows().filter((m) => m.refused).map((m) => ({ x: 0, y: row(m), xref: "paper", xanchor: "left", xshift: 6, showarrow: false, text: "not priced", font: { size: 12.5, color: ink().quiet } }));

  function stacked(parts) {
    const models = priced(), c = colours();
    const data = parts.filter((p) => models.some((m) => m.parts[p]?.value)).map((part) => ({
      type: "bar", orientation: "h", y: models.map(row), x: models.map((m) => m.parts[part]?.value ?? 0), width: 0.58,
      marker: { color: c[part] ?? ink().grey, line: { color: ink().paper, width: 1 } },
      customdata: models.map((m) => { const p = m.parts[part]; return p?.value == null ? "" : `${si(p.value, "J")} (${si(p.low, "J")} to ${si(p.high, "J")})`; }),
      hovertemplate: `${part}: %{customdata}<extra></extra>`,
    }));
    return { models, data, used: parts.filter((p) => models.some((m) => m.parts[p]?.value)) };
  }

  function whiskers(models, total) {
    return { type: "scatter", mode: "markers", y: models.map(row), x: models.map((m) => total(m).value), hoverinfo: "skip", marker: { size: 1, color: ink().ink },
      error_x: { type: "data", symmetric: false, array: models.map((m) => total(m).high - total(m).value), arrayminus: models.map((m) => total(m).value - total(m).low), color: ink().ink, thickness: 1.2, width: 5 } };
  }

  const sum = (m, parts) => parts.map((p) => m.parts[p]).filter((p) => p?.value != null).reduce(
    (t, p) => ({ low: t.low + p.low, value: t.value + p.value, high: t.high + p.high }), { low: 0, value: 0, high: 0 });

  function dynamic() {
    const { models, data, used } = stacked(energy.dynamic), c = colours();
    neuro.legend("dynamic-legend", used.map((p) => [p, c[p]]));
    if (models.length) data.push(whiskers(models, (m) => m.dynamic));
    return { data, layout: layout(height(38), { barmode: "stack", xaxis: axis({ ...joules, title: titled("energy an inference") }), yaxis: names(), margin: { l: 8, r: 16, t: 4, b: 40 }, annotations: blanks() }) };
  }

  function standing() {
    const { models, data, used } = stacked(energy.standing), c = colours();
    neuro.legend("standing-legend", used.map((p) => [p, c[p] ?? ink().grey]));
    if (used.length) data.push(whiskers(models, (m) => sum(m, energy.standing)));
    const note = { xref: "paper", yref: "paper", x: 0.5, y: 0.5, showarrow: false, text: "no figure is published", font: { size: 13, color: ink().quiet } };
    return { data, layout: layout(used.length ? height(38) : 90, { barmode: "stack", xaxis: axis({ ...joules, title: titled("energy an inference"), visible: used.length > 0 }), yaxis: { ...names(), visible: used.length > 0 },
      margin: { l: 8, r: 16, t: 4, b: 40 }, annotations: used.length ? blanks() : [note] }) };
  }

  function spread() {
    const models = priced().filter((m) => m.spread), c = ink(), at = row;
    const share = (m, q) => (m.spread[2] > 0 ? m.spread[q] / m.spread[2] : null);
    const line = (pairs, width, colour) => ({ type: "scatter", mode: "lines", hoverinfo: "skip", line: { width, color: colour },
      x: models.flatMap((m) => [share(m, pairs[0]), share(m, pairs[1]), null]), y: models.flatMap((m) => [at(m), at(m), null]) });
    const median = { type: "scatter", mode: "markers", x: models.map((m) => share(m, 2)), y: models.map(at), marker: { symbol: "line-ns", size: 16, line: { width: 2.5, color: c.ink } },
      customdata: models.map((m) => m.spread.map((x) => si(x, "J"))), hovertemplate: "median %{customdata[2]}<br>middle half %{customdata[1]} to %{customdata[3]}<br>all %{customdata[0]} to %{customdata[4]}<extra></extra>" };
    return { data: [line([0, 4], 1.4, c.quiet), line([1, 3], 12, c.series[5]), median],
      layout: layout(height(30), { xaxis: axis({ tickformat: ".0%", nticks: 8, title: titled("dynamic energy of a sample, of the median") }), yaxis: names(), margin: { l: 8, r: 16, t: 4, b: 40 }, annotations: blanks() }) };
  }

  function caption() {
    const told = priced().map((m) => [m, sum(m, energy.standing).value]).filter(([, s]) => s > 0);
    const first = priced()[0];
    if (!told.length) return first ? energy.standing.map((p) => `${p}: ${first.parts[p]?.status ?? "not estimated"}`).join("; ") + "." : "";
    const ratios = told.filter(([m]) => m.dynamic.value > 0).map(([m, s]) => s / m.dynamic.value), [least, most] = [Math.min(...ratios), Math.max(...ratios)];
    const x = (r) => Number(r.toPrecision(r < 10 ? 2 : 3)).toLocaleString("en");
    return !ratios.length ? "" : `${x(least) === x(most) ? x(least) : `${x(least)} to ${x(most)}`} times the dynamic part: mind the scales.`;
  }

  // The table shows the chosen device; its CSV holds all.
  function table() {
    const figure = document.getElementById("table-energy"), name = energy.devices[device].name;
    const heads = figure.querySelectorAll("th"), all = [...figure.querySelectorAll("tbody tr")];
    for (const row of all) row.hidden = row.cells[1].dataset.value !== name;
    const shown = all.filter((r) => !r.hidden);
    heads.forEach((head, k) => { // a part that no model has here needs no column
      if (/ (low|high)$/.test(head.dataset.title)) return;
      const texts = new Set(shown.map((r) => r.cells[k].textContent)), none = texts.has("not applicable") && texts.size === 1 + texts.has("refused");
      for (const cell of [head, ...all.map((r) => r.cells[k])]) cell.hidden = none;
    });
    figure.classList.add("one-device");
    figure.querySelector("h3").replaceChildren("Energy in parts on ", neuro.el("bdi", {}, name));
    figure.querySelector(".csv").replaceChildren("Download CSV of all devices");
  }

  function show(k) {
    device = k;
    table();
    draw("dynamic", dynamic);
    draw("standing", standing);
    const has = priced().some((m) => m.spread);
    document.getElementById("spread-figure").hidden = !has;
    if (has) draw("spread", spread);
    document.getElementById("standing-caption").replaceChildren(caption());
    const reasons = new Map();
    for (const m of rows().filter((m) => m.refused)) reasons.set(m.refused, [...(reasons.get(m.refused) ?? []), m.model]);
    neuro.notes("energy-refused", [...reasons].map(([why, names]) => `Not priced: ${names.join(", ")}. ${why}`));
  }

  neuro.choice(document.getElementById("energy-controls"), "Device", energy.devices.map((d) => d.name), device, show);
  show(device);
  return { first: energy.devices[device].name };
})();
