"use strict";
// Accuracy against dynamic energy: models on the chosen device, trials of sweeps, and the front that nothing beats.
(() => {
  const { figures, plain, ink, axis, titled, layout, draw, si } = neuro;
  const all = figures.tradeoff, host = document.getElementById("tradeoff-controls");
  if (!all || !host) return;
  const priced = new Set([...all.models.flatMap((m) => Object.keys(m.energy)), ...all.sweeps.map((s) => s.device)]);
  const devices = [...new Set([...(figures.energy?.devices ?? []).map((d) => d.name), ...priced])].filter((d) => priced.has(d));
  let device = devices.includes(neuro.energy.first) ? neuro.energy.first : devices[0];

  const models = () => all.models.filter((m) => m.energy[device]?.value > 0).map((m) => ({ ...m, cost: m.energy[device] }));
  const sweeps = () => all.sweeps.filter((s) => s.device === device);

  // Cheapest first: a point is on the front if it is more accurate than all that cost no more.
  function front(points) {
    let best = -1;
    return [...points].sort((p, q) => p.x - q.x || q.y - p.y).filter((p) => p.y > best && ((best = p.y), true));
  }

  const staircase = (points, colour) => ({ type: "scatter", mode: "lines", x: points.map((p) => p.x), y: points.map((p) => p.y), hoverinfo: "skip", line: { shape: "hv", width: 1.4, color: colour } });

  function trials(s, k) {
    const c = ink(), done = s.trials, best = new Set(s.pareto), colour = c.series[(k + 1) % 6];
    const points = done.map((t) => ({ x: t.energy, y: t.accuracy }));
    return [
      staircase(front(points), colour),
      { type: "scatter", mode: "markers", x: points.map((p) => p.x), y: points.map((p) => p.y), meta: "trials",
        marker: { size: 9, color: done.map((t) => (best.has(t.number) ? colour : c.paper)), line: { width: 1.5, color: colour } },
        customdata: done.map((t) => [`trial ${t.number}`, `${(100 * t.accuracy).toFixed(1)} %, ${si(t.energy, "J")} (${si(t.low ?? t.energy, "J")} to ${si(t.high ?? t.energy, "J")})`,
          Object.entries(t.params).map(([n, v]) => plain(`${n} ${v}`)).join("<br>")]),
        hovertemplate: "%{customdata[0]}<br>%{customdata[1]}<br>%{customdata[2]}<extra></extra>" },
    ];
  }

  function named(points) {
    const c = ink(), data = [staircase(front(points.map((m) => ({ x: m.cost.value, y: m.accuracy }))), c.series[0])];
    const span = (f) => points.map(f);
    data.push({
      type: "scatter", mode: "markers", x: span((m) => m.cost.value), y: span((m) => m.accuracy), text: span((m) => plain(neuro.short(m.model, 40))), meta: "models",
      marker: { size: 10, color: c.series[0] }, cliponaxis: false,
      error_x: { type: "data", symmetric: false, array: span((m) => m.cost.high - m.cost.value), arrayminus: span((m) => m.cost.value - m.cost.low), color: c.grey, thickness: 1, width: 3 },
      error_y: { type: "data", symmetric: false, array: span((m) => m.interval[1] - m.accuracy), arrayminus: span((m) => m.accuracy - m.interval[0]), color: c.grey, thickness: 1, width: 3 },
      customdata: span((m) => `${(100 * m.accuracy).toFixed(1)} %, ${si(m.cost.value, "J")} (${si(m.cost.low, "J")} to ${si(m.cost.high, "J")})`),
      hovertemplate: "%{text}<br>%{customdata}<extra></extra>",
    });
    return data;
  }

  // A name stands beside its point, above or below where those of others leave room; a thin line then leads to it.
  function labels(points, range, height) {
    const c = ink(), width = document.getElementById("tradeoff-chart").clientWidth - 110, taken = [];
    const ys = points.flatMap((m) => m.interval), top = Math.max(...ys), bottom = Math.min(...ys);
    const place = (m) => [((Math.log10(m.cost.value) - range[0]) / (range[1] - range[0])) * width, ((top - m.accuracy) / (top - bottom || 1)) * (height - 110)];
    const clash = (a, b) => a[0] < b[1] && b[0] < a[1] && a[2] < b[3] && b[2] < a[3];
    points.forEach((m) => { const [x, y] = place(m); taken.push([x - 7, x + 7, y - 7, y + 7]); });
    return [...points].sort((p, q) => p.cost.value - q.cost.value).map((m) => {
      const text = neuro.short(m.model, 18), half = 3.9 * text.length, [x, y] = place(m);
      const box = ([dx, dy]) => [x + dx - half, x + dx + half, y + dy - 8, y + dy + 8];
      const tries = [18, -18, 36, -36, 54, -54, 72, -72, 90].flatMap((dy) => [[0, -dy], [half + 12, -dy], [-half - 12, -dy]]).filter((t) => x + t[0] + half < width + 40 && x + t[0] - half > 0);
      const at = tries.find((t) => !taken.some((b) => clash(b, box(t)))) ?? [0, -18];
      taken.push(box(at));
      return { x: Math.log10(m.cost.value), y: m.accuracy, ax: at[0], ay: at[1], text: plain(text), showarrow: true, arrowhead: 0, arrowwidth: Math.abs(at[1]) > 20 || at[0] ? 0.8 : 0.01, arrowcolor: c.grey, standoff: 5, font: { size: 12.5, color: c.ink }, bgcolor: c.paper, borderpad: 1 };
    });
  }

  function build() {
    const points = models(), swept = sweeps();
    const data = [...(points.length ? named(points) : []), ...swept.flatMap(trials)];
    const costs = [...points.flatMap((m) => [m.cost.low || m.cost.value, m.cost.high]), ...swept.flatMap((s) => s.trials.map((t) => t.energy))].filter((x) => x > 0).map(Math.log10);
    const low = Math.min(...costs), high = Math.max(...costs), room = Math.max(0.08 * (high - low), 0.12);
    const height = neuro.narrow() ? 340 : 420, range = [low - room, high + room];
    return { data, layout: layout(height, { annotations: points.length ? labels(points, range, height) : [], margin: { l: 8, r: 24, t: 24, b: 44 },
      xaxis: axis({ type: "log", title: titled(neuro.narrow() ? `dynamic energy on ${plain(neuro.short(device))}` : `dynamic energy an inference on ${plain(neuro.short(device))} (log scale)`), tickformat: "~s", ticksuffix: "J", range: costs.length ? range : undefined, dtick: high - low > 1.2 ? 1 : "D2" }),
      yaxis: axis({ title: titled("accuracy"), tickformat: ".0%", nticks: 7 }) }) };
  }

  function show(name) {
    device = name;
    const missing = all.models.filter((m) => !m.energy[device]).map((m) => m.model), other = all.sweeps.filter((s) => s.device !== device);
    neuro.notes("tradeoff-notes", [
      models().length ? "Whiskers: the range of the energy's sources, and the 95 % interval of the accuracy." : "",
      sweeps().length ? "Small circles: trials of a sweep, on its validation samples; filled: beaten by no other." : "",
      missing.length ? `Without a figure on ${device}: ${missing.join(", ")}.` : "", ...other.map((s) => `Sweep ${s.name} was priced on ${s.device}.`)]);
    draw("tradeoff-chart", build);
  }

  neuro.choice(host, "Device", devices, devices.indexOf(device), (k) => show(devices[k]));
  show(device);
})();
